"Inputs and token lists measured once on the published language: texts are events, numbers are token ids. Events are separated by spaces."

STD = """[TimingPoints]
500,400,4,2,0,70,1,0
2100,-50,4,1,0,60,0,1
4500,-100,4,3,1,45,0,0
6900,300,3,0,0,100,1,0

[HitObjects]
256,192,500,5,0,0:0:0:0:
100,100,700,1,10,1:2:0:33:
10,20,900,2,0,L|110:20,1,80,2|4,0:0|3:1,2:0:0:0:
300,300,1300,6,2,B|340:300|340:300|340:340,2,80,2|0|8,0:0|1:2|0:0,0:0:0:0:
200,100,2100,2,0,P|250:150|300:100,1,160
60,60,2900,2,0,C|100:100|140:60|180:100,1,160,0|0,0:0|0:0,0:0:0:0:
256,192,4500,12,4,6500,0:0:0:0:
-20,-5,6900,1,0,0:0:0:0:
600,420,7013,1,0,0:0:0:0:"""

TAIKO = """[TimingPoints]
1000,500,4,1,0,80,1,0
2000,-80,4,1,0,80,0,1

[HitObjects]
256,192,1000,1,0,0:0:0:0:
256,192,1250,1,8,0:0:0:0:
256,192,1500,1,4,0:0:0:0:
256,192,2000,2,4,L|396:192,1,350,0|0,0:0|0:0,0:0:0:0:
256,192,4000,12,0,5000,0:0:0:0:"""

MANIA = """[TimingPoints]
0,500,4,1,0,70,1,0
2000,250,4,1,0,70,1,0
2000,-200,4,1,0,70,0,0
3000,-100,4,1,0,70,0,1

[HitObjects]
64,192,0,1,0,0:0:0:0:
192,192,0,1,2,0:0:0:0:
320,192,500,128,0,1000:0:0:0:0:
64,192,1000,1,0,0:0:0:0:
448,192,2000,128,4,11000:2:1:0:55:"""

V32_STD = (
    "t500 snap1 pos478 pos_refine0 new_combo hitsound32 volume70 circle t700 snap2 pos374 pos_refine34 hitsound29 volume33 "
    "circle t900 snap1 pos272 pos_refine165 scroll_speed100 hitsound33 volume70 slider_head pos275 pos_refine167 "
    "last_anchor t1100 snap2 hitsound32 volume70 last_anchor t1100 snap2 pos274 pos_refine173 hitsound18 volume70 "
    "slider_end t1300 snap1 pos578 pos_refine102 new_combo scroll_speed100 hitsound33 volume70 slider_head pos579 "
    "pos_refine106 red_anchor pos612 pos_refine170 last_anchor t1500 snap2 hitsound33 volume70 hitsound24 volume70 "
    "last_anchor t1700 snap1 pos612 pos_refine170 hitsound36 volume70 slider_end t2100 snap1 pos377 pos_refine36 "
    "scroll_speed200 hitsound0 volume60 slider_head pos411 pos_refine189 perfect_anchor pos380 pos_refine38 last_anchor "
    "t2300 snap2 hitsound0 volume60 last_anchor t2300 snap2 pos380 pos_refine38 hitsound0 volume60 slider_end t2900 snap1 "
    "pos306 pos_refine238 scroll_speed200 hitsound0 volume60 slider_head pos374 pos_refine34 catmull_anchor pos309 "
    "pos_refine230 catmull_anchor pos376 pos_refine42 last_anchor t3100 snap2 hitsound0 volume60 last_anchor t3100 snap2 "
    "pos376 pos_refine42 hitsound0 volume60 slider_end t4500 snap1 spinner t6500 snap1 hitsound66 volume45 spinner_end "
    "t6900 snap1 pos272 pos_refine214 hitsound32 volume100 circle t7013 snap8 pos719 pos_refine44 hitsound32 volume100 "
    "circle"
)

V32_STD_IDS = (
    "59, 1648, 2142, 2621, 3896, 3929, 4040, 4071, 79, 1649, 2038, 2655, 3926, 4003, 4071, 99, 1648, 1936, 2786, 2995, "
    "3930, 4040, 4074, 1939, 2788, 4079, 119, 1649, 3929, 4040, 4079, 119, 1649, 1938, 2794, 3915, 4040, 4080, 139, 1648, "
    "2242, 2723, 3896, 2995, 3930, 4040, 4074, 2243, 2727, 4078, 2276, 2791, 4079, 159, 1649, 3930, 4040, 3921, 4040, 4079, "
    "179, 1648, 2276, 2791, 3933, 4040, 4080, 219, 1648, 2041, 2657, 3095, 3897, 4030, 4074, 2075, 2810, 4076, 2044, 2659, "
    "4079, 239, 1649, 3897, 4030, 4079, 239, 1649, 2044, 2659, 3897, 4030, 4080, 299, 1648, 1970, 2859, 3095, 3897, 4030, "
    "4074, 2038, 2655, 4077, 1973, 2851, 4077, 2040, 2663, 4079, 319, 1649, 3897, 4030, 4079, 319, 1649, 2040, 2663, 3897, "
    "4030, 4080, 459, 1648, 4072, 659, 1648, 3963, 4015, 4073, 699, 1648, 1936, 2835, 3929, 4070, 4071, 710, 1655, 2383, "
    "2665, 3929, 4070, 4071"
)

V28_STD = (
    "circle t500 snap1 dist0 pos478 new_combo hitsound32 volume70 circle t700 snap2 dist181 pos374 hitsound29 volume33 "
    "slider_head t900 snap1 dist120 pos272 scroll_speed100 hitsound33 volume70 last_anchor t1100 snap2 dist100 pos275 "
    "hitsound32 volume70 slider_end t1100 snap2 dist20 pos274 hitsound18 volume70 slider_head t1300 snap1 dist350 pos578 "
    "new_combo scroll_speed100 hitsound33 volume70 red_anchor dist40 pos579 last_anchor t1500 snap2 dist40 pos612 "
    "hitsound33 volume70 hitsound24 volume70 slider_end t1700 snap1 dist0 pos612 hitsound36 volume70 slider_head t2100 "
    "snap1 dist277 pos377 scroll_speed200 hitsound0 volume60 perfect_anchor dist70 pos411 last_anchor t2300 snap2 dist70 "
    "pos380 hitsound0 volume60 slider_end t2300 snap2 dist0 pos380 hitsound0 volume60 slider_head t2900 snap1 dist243 "
    "pos306 scroll_speed200 hitsound0 volume60 catmull_anchor dist56 pos374 catmull_anchor dist56 pos309 last_anchor t3100 "
    "snap2 dist56 pos376 hitsound0 volume60 slider_end t3100 snap2 dist0 pos376 hitsound0 volume60 spinner t4500 snap1 "
    "spinner_end t6500 snap1 hitsound66 volume45 circle t6900 snap1 dist339 pos272 hitsound32 volume100 circle t7013 snap8 "
    "dist640 pos719 hitsound32 volume100"
)

V28_STD_TIMES = (
    "500 500 500 500 500 500 500 500 700 700 700 700 700 700 700 900 900 900 900 900 900 900 900 1100 1100 1100 1100 1100 "
    "1100 1100 1100 1100 1100 1100 1100 1100 1100 1300 1300 1300 1300 1300 1300 1300 1300 1300 1366 1366 1366 1500 1500 "
    "1500 1500 1500 1500 1500 1500 1500 1700 1700 1700 1700 1700 1700 1700 2100 2100 2100 2100 2100 2100 2100 2100 2200 "
    "2200 2200 2300 2300 2300 2300 2300 2300 2300 2300 2300 2300 2300 2300 2300 2300 2900 2900 2900 2900 2900 2900 2900 "
    "2900 2966 2966 2966 3033 3033 3033 3100 3100 3100 3100 3100 3100 3100 3100 3100 3100 3100 3100 3100 3100 4500 4500 "
    "4500 6500 6500 6500 6500 6500 6900 6900 6900 6900 6900 6900 6900 7013 7013 7013 7013 7013 7013 7013"
)

V28_STD_IDS = (
    "3645, 67, 837, 853, 1972, 3470, 3503, 3614, 3645, 87, 838, 1034, 1868, 3500, 3577, 3648, 107, 837, 973, 1766, 2569, "
    "3504, 3614, 3653, 127, 838, 953, 1769, 3503, 3614, 3654, 127, 838, 873, 1768, 3489, 3614, 3648, 147, 837, 1203, 2072, "
    "3470, 2569, 3504, 3614, 3652, 893, 2073, 3653, 167, 838, 893, 2106, 3504, 3614, 3495, 3614, 3654, 187, 837, 853, 2106, "
    "3507, 3614, 3648, 227, 837, 1130, 1871, 2669, 3471, 3604, 3650, 923, 1905, 3653, 247, 838, 923, 1874, 3471, 3604, "
    "3654, 247, 838, 853, 1874, 3471, 3604, 3648, 307, 837, 1096, 1800, 2669, 3471, 3604, 3651, 909, 1868, 3651, 909, 1803, "
    "3653, 327, 838, 909, 1870, 3471, 3604, 3654, 327, 838, 853, 1870, 3471, 3604, 3646, 467, 837, 3647, 667, 837, 3537, "
    "3589, 3645, 707, 837, 1192, 1766, 3503, 3644, 3645, 718, 844, 1493, 2213, 3503, 3644"
)

V30_STD = (
    "t500 measure t500 snap1 dist0 pos_x64 pos_y48 new_combo hitsound32 volume70 circle t700 snap2 dist181 pos_x25 pos_y25 "
    "hitsound29 volume33 circle t900 beat t900 snap1 dist120 pos_x2 pos_y5 hitsound33 volume70 slider_head t1100 snap2 "
    "dist100 pos_x27 pos_y5 hitsound32 volume70 last_anchor t1100 snap2 dist20 pos_x22 pos_y5 hitsound18 volume70 "
    "slider_end t1300 beat t1300 snap1 dist350 pos_x75 pos_y75 new_combo hitsound33 volume70 slider_head dist40 pos_x85 "
    "pos_y75 red_anchor t1500 snap2 dist40 pos_x85 pos_y85 hitsound33 volume70 hitsound24 volume70 last_anchor t1700 beat "
    "t1700 snap1 dist0 pos_x85 pos_y85 hitsound36 volume70 slider_end t2100 measure t2100 snap1 dist277 pos_x50 pos_y25 "
    "hitsound0 volume60 slider_head dist70 pos_x62 pos_y37 perfect_anchor t2300 snap2 dist70 pos_x75 pos_y25 hitsound0 "
    "volume60 last_anchor t2300 snap2 dist0 pos_x75 pos_y25 hitsound0 volume60 slider_end t2500 beat t2900 beat t2900 snap1 "
    "dist243 pos_x15 pos_y15 hitsound0 volume60 slider_head dist56 pos_x25 pos_y25 catmull_anchor dist56 pos_x35 pos_y15 "
    "catmull_anchor t3100 snap2 dist56 pos_x45 pos_y25 hitsound0 volume60 last_anchor t3100 snap2 dist0 pos_x45 pos_y25 "
    "hitsound0 volume60 slider_end t3300 beat t3700 measure t4100 beat t4500 beat t4500 snap1 spinner t4900 beat t5300 "
    "measure t5700 beat t6100 beat t6500 beat t6500 snap1 hitsound66 volume45 spinner_end t6900 measure t6900 snap1 dist339 "
    "pos_x-5 pos_y-1 hitsound32 volume100 circle t7013 snap8 dist640 pos_x150 pos_y105 hitsound32 volume100 circle"
)

V28_TAIKO = (
    "circle t1000 snap1 scroll_speed100 hitsound0 volume80 circle t1250 snap2 scroll_speed100 hitsound4 volume80 circle "
    "t1500 snap1 scroll_speed100 hitsound2 volume80 drumroll t2000 snap1 scroll_speed125 hitsound2 volume80 drumroll_end "
    "t3000 snap1 denden t4000 snap1 scroll_speed125 hitsound0 volume80 denden_end t5000 snap1"
)

V28_TAIKO_IDS = (
    "3645, 117, 837, 2569, 3471, 3624, 3645, 142, 838, 2569, 3475, 3624, 3645, 167, 837, 2569, 3473, 3624, 3663, 217, 837, "
    "2594, 3473, 3624, 3664, 317, 837, 3665, 417, 837, 2594, 3471, 3624, 3666, 517, 837"
)

V28_MANIA = (
    "circle t0 snap1 column0 hitsound0 volume70 circle t0 snap1 column1 hitsound1 volume70 hold_note t500 snap1 column2 "
    "hitsound0 volume70 hold_note_end t1000 snap1 column2 circle t1000 snap1 column0 hitsound0 volume70 hold_note t2000 "
    "snap1 column3 hitsound10 volume55 hold_note_end t11000 snap1 column3"
)

V28_MANIA_IDS = (
    "3645, 17, 837, 2451, 3471, 3614, 3645, 17, 837, 2452, 3472, 3614, 3660, 67, 837, 2453, 3471, 3614, 3661, 117, 837, "
    "2453, 3645, 117, 837, 2451, 3471, 3614, 3660, 217, 837, 2454, 3481, 3599, 3661, 835, 837, 2454"
)

V32_TAIKO = (
    "t1000 snap1 scroll_speed100 hitsound0 volume80 circle t1250 snap2 scroll_speed100 hitsound4 volume80 circle t1500 "
    "snap1 scroll_speed100 hitsound2 volume80 circle t2000 snap1 scroll_speed125 hitsound2 volume80 drumroll t3000 snap1 "
    "drumroll_end t4000 snap1 scroll_speed125 hitsound0 volume80 denden t5000 snap1 denden_end"
)

V32_TAIKO_IDS = (
    "109, 1648, 2995, 3897, 4050, 4071, 134, 1649, 2995, 3901, 4050, 4071, 159, 1648, 2995, 3899, 4050, 4071, 209, 1648, "
    "3020, 3899, 4050, 4091, 309, 1648, 4092, 409, 1648, 3020, 3897, 4050, 4093, 509, 1648, 4094"
)

V32_MANIA = (
    "t0 snap1 column0 hitsound0 volume70 circle t0 snap1 column1 hitsound1 volume70 circle t500 snap1 column2 hitsound0 "
    "volume70 hold_note t1000 snap1 column2 hold_note_end t1000 snap1 column0 hitsound0 volume70 circle t2000 snap1 column3 "
    "hitsound10 volume55 hold_note t10000 column3 hold_note_sustain t11000 snap1 column3 hold_note_end"
)

V32_MANIA_IDS = (
    "9, 1648, 2877, 3897, 4040, 4071, 9, 1648, 2878, 3898, 4040, 4071, 59, 1648, 2879, 3897, 4040, 4087, 109, 1648, 2879, "
    "4088, 109, 1648, 2877, 3897, 4040, 4071, 209, 1648, 2880, 3907, 4025, 4087, 1009, 2880, 4090, 1109, 1648, 2880, 4088"
)

WIN_V32_STD = (
    "4097, 4111, 4126, 4157, 4221, 4224, 4699, 4135, 4532, 2995, 4283, 1, 3, 59, 4083, 99, 4081, 139, 4081, 179, 4081, 219, "
    "4082, 259, 4081, 299, 4081, 339, 4081, 379, 4082, 419, 4081, 459, 4081, 499, 4081, 539, 4082, 579, 4081, 619, 4081, "
    "659, 4081, 699, 4083, 4, 5, 59, 1648, 2142, 2621, 3896, 3929, 4040, 4071, 79, 1649, 2038, 2655, 3926, 4003, 4071, 99, "
    "1648, 1936, 2786, 2995, 3930, 4040, 4074, 1939, 2788, 4079, 119, 1649, 3929, 4040, 4079, 119, 1649, 1938, 2794, 3915, "
    "4040, 4080, 139, 1648, 2242, 2723, 3896, 2995, 3930, 4040, 4074, 2243, 2727, 4078, 2276, 2791, 4079, 159, 1649, 3930, "
    "4040, 3921, 4040, 4079, 179, 1648, 2276, 2791, 3933, 4040, 4080, 219, 1648, 2041, 2657, 3095, 3897, 4030, 4074, 2075, "
    "2810, 4076, 2044, 2659, 4079, 239, 1649, 3897, 4030, 4079, 239, 1649, 2044, 2659, 3897, 4030, 4080, 299, 1648, 1970, "
    "2859, 3095, 3897, 4030, 4074, 2038, 2655, 4077, 1973, 2851, 4077, 2040, 2663, 4079, 319, 1649, 3897, 4030, 4079, 319, "
    "1649, 2040, 2663, 3897, 4030, 4080, 459, 1648, 4072, 659, 1648, 3963, 4015, 4073, 699, 1648, 1936, 2835, 3929, 4070, "
    "4071, 710, 1655, 2383, 2665, 3929, 4070, 4071, 6, 7, 8"
)

WIN_V28_STD = (
    "3, 4, 3667, 3681, 3696, 3727, 3791, 3793, 4123, 3705, 3956, 3658, 2569, 3853, 1, 5, 3657, 67, 3655, 107, 3655, 147, "
    "3655, 187, 3656, 227, 3655, 267, 3655, 307, 3655, 347, 3656, 387, 3655, 427, 3655, 467, 3655, 507, 3656, 547, 3655, "
    "587, 3655, 627, 3655, 667, 3657, 707, 6, 7, 3659, 227, 837, 3658, 467, 837, 8, 9, 3645, 67, 837, 853, 1972, 3470, "
    "3503, 3614, 3645, 87, 838, 1034, 1868, 3500, 3577, 3648, 107, 837, 973, 1766, 2569, 3504, 3614, 3653, 127, 838, 953, "
    "1769, 3503, 3614, 3654, 127, 838, 873, 1768, 3489, 3614, 3648, 147, 837, 1203, 2072, 3470, 2569, 3504, 3614, 3652, "
    "893, 2073, 3653, 167, 838, 893, 2106, 3504, 3614, 3495, 3614, 3654, 187, 837, 853, 2106, 3507, 3614, 3648, 227, 837, "
    "1130, 1871, 2669, 3471, 3604, 3650, 923, 1905, 3653, 247, 838, 923, 1874, 3471, 3604, 3654, 247, 838, 853, 1874, 3471, "
    "3604, 3648, 307, 837, 1096, 1800, 2669, 3471, 3604, 3651, 909, 1868, 3651, 909, 1803, 3653, 327, 838, 909, 1870, 3471, "
    "3604, 3654, 327, 838, 853, 1870, 3471, 3604, 3646, 467, 837, 3647, 667, 837, 3537, 3589, 3645, 707, 837, 1192, 1766, "
    "3503, 3644, 3645, 718, 844, 1493, 2213, 3503, 3644, 10, 11, 12"
)

WIN_V32_MANIA = (
    "4100, 4111, 4126, 4157, 4221, 4224, 4536, 4556, 4571, 4532, 2995, 4283, 1, 3, 9, 4083, 59, 4081, 109, 4081, 159, 4081, "
    "209, 4083, 234, 4081, 259, 4081, 284, 4081, 309, 4082, 334, 4081, 359, 4081, 384, 4081, 409, 4082, 434, 4081, 459, "
    "4081, 484, 4081, 509, 4082, 534, 4081, 559, 4081, 584, 4081, 609, 4082, 634, 4081, 659, 4081, 684, 4081, 709, 4082, "
    "734, 4081, 759, 4081, 784, 4081, 809, 4082, 834, 4081, 859, 4081, 884, 4081, 909, 4082, 934, 4081, 959, 4081, 984, "
    "4081, 1009, 4082, 1034, 4081, 1059, 4081, 1084, 4081, 1109, 4082, 4, 5, 9, 1648, 2877, 3897, 4040, 4071, 9, 1648, "
    "2878, 3898, 4040, 4071, 59, 1648, 2879, 3897, 4040, 4087, 109, 1648, 2879, 4088, 109, 1648, 2877, 3897, 4040, 4071, "
    "209, 1648, 2880, 3907, 4025, 4087, 1009, 2880, 4090, 1109, 1648, 2880, 4088, 6, 7, 9, 1648, 2945, 4089, 309, 1648, "
    "2995, 4089, 8"
)

WIN_V32_MANIA_1 = (
    "4100, 4111, 4126, 4157, 4221, 4224, 4536, 4556, 4571, 4532, 2995, 4366, 1, 3, 4, 5, 6, 7, 8"
)

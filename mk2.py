from fitlog import *
R=load('now0',['train','hard-6'])
base=['octave','on','exact_mean','strength','pieces','tempo']
for add in ([],['half'],['phase'],['worst'],['half','phase'],['fast'],['end'],['start']):
    n=base+add; p,y=cv(R,n); 
    X=np.array([[r['signs'][k] for k in n] for r in R]); c,s=X.mean(0),X.std(0); w=np.where([r['set']=='train' for r in R],2.,1.); q=fit(np.clip((X-c)/s,-3,3),y,w,.005)
    print(add, round(-np.mean(np.log(np.where(y>0,p,1-p))),4), round(np.mean((p-y)**2),4), dict(zip(n,q[1:].round(2))))

/**
 * The preview of a beatmap: draws what Python has laid out, and plays it in step with the song.
 *
 * One ES module, no build step, nothing loaded from elsewhere. It is a widget (anywidget calls `render`) and a page
 * (`startPage` reads the data that lie in it). From top to bottom: small helpers · the four scenes, pure functions from a
 * map and a moment to what is seen · painters for what a scene holds · the clock, the sounds, the song · the timeline ·
 * the player with its controls · the doors.
 *
 * Lengths are osu! pixels in a stage 480 high, times are milliseconds, shares go from 0 to 1. What comes from a map is text
 * and stays text: nothing here writes HTML.
 */

// ---------------------------------------------------------------- helpers

const STAGE_HEIGHT = 480;
const FIELD = { width: 512, height: 384 };

const clamp = (value, low = 0, high = 1) => Math.min(Math.max(value, low), high);
const mix = (from, to, share) => from + (to - from) * share;
const easeOut = (share) => 1 - (1 - share) * (1 - share);

/** A setting from 0 to 10 on the game's scale of two lines: `low` at 0, `middle` at 5, `high` at 10. */
export function difficultyRange(value, low, middle, high) {
  if (value > 5) return middle + ((high - middle) * (value - 5)) / 5;
  return middle + ((middle - low) * (value - 5)) / 5;
}

/** ms as 1:23.456, or 1:23 without the thousandths. */
export function clockText(ms, exact = true) {
  const sign = ms < 0 ? "-" : "";
  const whole = Math.floor(Math.abs(ms));
  const seconds = Math.floor(whole / 1000);
  const text = `${sign}${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  return exact ? `${text}.${String(whole % 1000).padStart(3, "0")}` : text;
}

/** The last of some rows, sorted by their first entry, that begins at or before a moment; else the first. */
export function rowAt(rows, time) {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle][0] <= time) low = middle + 1;
    else high = middle;
  }
  return rows[Math.max(low - 1, 0)];
}

/** The stretch of `spans` that holds a moment. */
const spanAt = (spans, time) => spans.find(([start, end]) => start <= time && time < end);

/** `#rrggbb` towards another such colour. */
export function blend(colour, other, share) {
  const parts = [1, 3, 5].map((i) => {
    const from = parseInt(colour.slice(i, i + 2), 16);
    const to = parseInt(other.slice(i, i + 2), 16);
    return Math.round(mix(from, to, share)).toString(16).padStart(2, "0");
  });
  return `#${parts.join("")}`;
}

/** `#rrggbb` with an alpha. */
const fade = (colour, alpha) => `${colour}${Math.round(clamp(alpha) * 255).toString(16).padStart(2, "0")}`;

// ---------------------------------------------------------------- scene: osu!

const HIT_FADE = 240; // ms in which what was hit fades
const APPROACH_FADE = 50; // ms in which its approach circle does
const FOLLOW_SPACING = 32; // px between follow points
const FOLLOW_AHEAD = 800; // ms by which they come before
const LEAST_PREEMPT = 450; // ms, that of AR 10
const SPIN = (477 / 60) * 2 * Math.PI; // radians a second: the most a spinner counts

/** How long objects of a map are seen before they are hit, and how long they take to appear. */
export function approachOf(map) {
  const preempt = Math.round(difficultyRange(map.settings.ar, 1800, 1200, LEAST_PREEMPT));
  return { preempt, fadeIn: 400 * Math.min(1, preempt / LEAST_PREEMPT) };
}

/** What remains of something that faded from a moment on. */
const left = (time, since, lasts) => 1 - clamp((time - since) / lasts);

/** Alpha, size and approach circle of a circle or the head of a slider. */
function headAt(object, time, { preempt, fadeIn }) {
  const age = time - (object.time - preempt);
  const hit = time >= object.time;
  const gone = clamp((time - object.time) / HIT_FADE);
  const shrinking = clamp(age / preempt);
  const appearing = clamp(age / Math.min(2 * fadeIn, preempt));
  return {
    x: object.x,
    y: object.y,
    alpha: hit ? 1 - gone : clamp(age / fadeIn),
    scale: hit ? 1 + 0.4 * easeOut(gone) : 1,
    approach: {
      scale: 4 - 3 * shrinking,
      alpha: 0.9 * appearing * (hit ? left(time, object.time, APPROACH_FADE) : 1),
    },
  };
}

/** The point of a polyline `[x, y, x, y …]` at a share of its length, and the direction there. */
export function alongPath(object, share) {
  const path = object.path;
  const sums = lengthsOf(object);
  const want = clamp(share) * sums[sums.length - 1];
  let i = 1;
  while (i < sums.length - 1 && sums[i] < want) i += 1;
  const step = sums[i] - sums[i - 1] || 1;
  const part = (want - sums[i - 1]) / step;
  const [x0, y0, x1, y1] = path.slice(2 * i - 2, 2 * i + 2);
  return { x: mix(x0, x1, part), y: mix(y0, y1, part), angle: Math.atan2(y1 - y0, x1 - x0) };
}

/** Lengths from the head of a path to each of its points, measured once. */
function lengthsOf(object) {
  if (object.sums) return object.sums;
  const sums = [0];
  for (let i = 2; i < object.path.length; i += 2) {
    const dx = object.path[i] - object.path[i - 2];
    const dy = object.path[i + 1] - object.path[i - 1];
    sums.push(sums[sums.length - 1] + Math.hypot(dx, dy));
  }
  Object.defineProperty(object, "sums", { value: sums });
  return sums;
}

/** Where the ball of a slider is: slides done, and the share of the path. */
export function ballAt(object, time) {
  const whole = clamp((time - object.time) / Math.max(object.end - object.time, 1e-6)) * object.slides;
  const span = Math.min(Math.floor(whole), object.slides - 1);
  const within = whole - span;
  return { span, share: span % 2 ? 1 - within : within };
}

/** The ticks of the slide that is on, those that lie ahead. */
function ticksAhead(object, time) {
  if (time < object.time) return object.ticks;
  const { span, share } = ballAt(object, time);
  return object.ticks.filter((tick) => (span % 2 ? tick < share : tick > share));
}

/** The ends of the path at which the ball still turns: 1 the far one, 0 the head. */
function turnsAhead(object, time) {
  const { span } = ballAt(object, time);
  const turns = [];
  if (span + 1 < object.slides) turns.push((span + 1) % 2);
  if (span + 2 < object.slides) turns.push((span + 2) % 2);
  return turns;
}

/** What a slider adds to its head: body, ball, ticks, turns. */
function bodyAt(object, time, { preempt, fadeIn }) {
  const age = time - (object.time - preempt);
  const rolling = object.time <= time && time <= object.end;
  const { share } = ballAt(object, time);
  return {
    alpha: time > object.end ? left(time, object.end, HIT_FADE) : clamp(age / fadeIn),
    drawn: clamp(age / (preempt / 3)),
    ticks: ticksAhead(object, time),
    turns: time > object.end ? [] : turnsAhead(object, time),
    ball: rolling ? alongPath(object, share) : null,
    ballAge: time - object.time,
  };
}

/** Alpha, angle and share done of a spinner. */
function spinnerAt(object, time, { preempt, fadeIn }) {
  const age = time - (object.time - preempt);
  const done = clamp((time - object.time) / Math.max(object.end - object.time, 1));
  return {
    alpha: time > object.end ? left(time, object.end, HIT_FADE) : clamp(age / fadeIn),
    angle: (SPIN * clamp(time - object.time, 0, object.end - object.time)) / 1000,
    done,
  };
}

/** The points between two objects of a combo that say where to go. */
export function followPoints(from, to, time, timing) {
  const start = from.tail;
  const dx = to.x - start[0];
  const dy = to.y - start[1];
  const distance = Math.hypot(dx, dy);
  const ahead = FOLLOW_AHEAD * Math.min(1, timing.preempt / LEAST_PREEMPT);
  const points = [];
  for (let d = Math.floor(FOLLOW_SPACING * 1.5); d < distance - FOLLOW_SPACING; d += FOLLOW_SPACING) {
    const share = d / distance;
    const leaves = from.end + share * (to.time - from.end);
    const comes = leaves - ahead;
    if (time < comes || time > leaves + timing.fadeIn) continue;
    const moved = share - 0.1 * (1 - easeOut(clamp((time - comes) / timing.fadeIn)));
    points.push({
      x: start[0] + moved * dx,
      y: start[1] + moved * dy,
      angle: Math.atan2(dy, dx),
      alpha: clamp((time - comes) / timing.fadeIn) * left(time, leaves, timing.fadeIn),
    });
  }
  return points;
}

/** What is seen of an osu! map at a moment, the earliest object first. */
export function standardScene(map, time) {
  const timing = approachOf(map);
  const items = [];
  const follow = [];
  map.objects.forEach((object, i) => {
    if (time < object.time - Math.max(timing.preempt, 2 * FOLLOW_AHEAD) || time > object.end + 2 * FOLLOW_AHEAD) return;
    const before = map.objects[i - 1];
    if (object.follows) follow.push(...followPoints(before, object, time, timing));
    if (time < object.time - timing.preempt || time > object.end + HIT_FADE) return;
    const item = { kind: object.kind, object, index: i };
    if (object.kind === "spinner") Object.assign(item, spinnerAt(object, time, timing));
    else Object.assign(item, headAt(object, time, timing));
    if (object.kind === "slider") item.body = bodyAt(object, time, timing);
    items.push(item);
  });
  return { items, follow };
}

// ---------------------------------------------------------------- scene: taiko

const TARGET_X = 160; // px from the left edge of the stage to where notes are hit
const TAIKO_SPEED = 0.14; // px per ms at multiplier 1: the game's 100 px per 1000 ms, times 1.4

/** How far right of the target something is, scrolled at its own speed. */
export const taikoOffset = (object, time) => (object.time - time) * object.speed * TAIKO_SPEED;

/** What is seen of a taiko map: bar lines, and notes that are on their way; a drum roll until its end has passed. */
export function taikoScene(map, time, width = 853) {
  const room = width - TARGET_X + 80;
  const shown = (object) => {
    const x = taikoOffset(object, time);
    const tail = x + (object.end - object.time) * object.speed * TAIKO_SPEED;
    return x < room && tail > -TARGET_X - 80;
  };
  const item = (object) => ({
    kind: object.kind,
    object,
    x: TARGET_X + taikoOffset(object, time),
    length: (object.end - object.time) * object.speed * TAIKO_SPEED,
    hit: object.kind === "drumroll" ? false : time >= object.time,
    age: time - object.time,
  });
  const notes = map.objects.filter(shown).map(item).filter(({ kind, hit, age, object }) => {
    if (kind === "denden") return time <= object.end + HIT_FADE;
    return !hit || age < HIT_FADE;
  });
  const bars = map.bars.filter(shown).map((bar) => ({ x: TARGET_X + taikoOffset(bar, time), major: bar.major }));
  return { notes, bars };
}

// ---------------------------------------------------------------- scene: catch

const CATCH_TOP = -40; // px, where fruits come into view
const PLATE_Y = 340; // px, where they are caught

/** How far a fruit has fallen. */
export function fruitY(object, time, preempt) {
  return mix(PLATE_Y, CATCH_TOP, (object.time - time) / preempt);
}

/** Where the catcher stands when it catches everything, and whether it hyperdashes on its way. */
export function catcherAt(map, time) {
  const way = map.catches;
  if (!way.length) return { x: FIELD.width / 2, hyper: false };
  const next = way.findIndex((stop) => stop[0] > time);
  if (next === 0) return { x: way[0][1], hyper: false };
  if (next < 0) return { x: way[way.length - 1][1], hyper: false };
  const [from, x0, hyper] = way[next - 1];
  const [to, x1] = way[next];
  const distance = Math.abs(x1 - x0);
  const lasts = hyper ? to - from : Math.min(to - from, distance); // a dash goes 1 px per ms
  const share = lasts ? clamp((time - (to - lasts)) / lasts) : 1;
  return { x: mix(x0, x1, share), hyper: Boolean(hyper) && time >= to - lasts, facing: Math.sign(x1 - x0) };
}

/** What is seen of a catch map: all that falls, and the catcher. */
export function catchScene(map, time) {
  const { preempt } = approachOf(map);
  const items = [];
  for (const object of map.objects) {
    if (time < object.time - preempt || time > object.time) continue;
    const appearing = clamp((time - (object.time - preempt)) / 200);
    items.push({ kind: object.kind, object, x: object.x, y: fruitY(object, time, preempt), alpha: appearing });
  }
  return { items, catcher: catcherAt(map, time) };
}

// ---------------------------------------------------------------- scene: mania

const HIT_Y = 402; // px from the top of the stage to the line where notes are hit
const SCROLL_AT_ONE = 11485; // ms that a note is seen at scroll speed 1
export const SCROLL_SPEED = 20; // that the preview begins with, of 1 to 40

/** Where a moment lies on the scroll, in ms at velocity 1. */
export function scrollAt(map, time) {
  const [from, position, velocity] = rowAt(map.scroll, time);
  return position + (time - from) * velocity;
}

/** Height of a place of the scroll, y downwards. */
export const maniaY = (place, now, range) => HIT_Y - ((place - now) / range) * HIT_Y;

/** What is seen of a mania map: notes, holds, bar lines, and the keys that are down. */
export function maniaScene(map, time, speed = SCROLL_SPEED) {
  const now = scrollAt(map, time);
  const range = SCROLL_AT_ONE / speed;
  const inSight = (low, high) => Math.max(low, high) >= 0 - 40 && Math.min(low, high) <= STAGE_HEIGHT + 40;
  const notes = [];
  const pressed = new Array(map.keys).fill(0);
  for (const object of map.objects) {
    const held = object.kind === "hold" && object.time <= time && time < object.end;
    const since = time - (object.kind === "hold" ? object.end : object.time);
    if (held) pressed[object.column] = 1;
    if (since >= 0 && since < 120) pressed[object.column] = Math.max(pressed[object.column], 1 - since / 120);
    if (time >= object.end && time >= object.time) continue;
    const head = held ? HIT_Y : maniaY(object.at, now, range);
    const tail = maniaY(object.until, now, range);
    if (inSight(head, tail)) notes.push({ kind: object.kind, object, column: object.column, y: head, tail, held });
  }
  const bars = map.bars.map((bar) => ({ y: maniaY(bar.at, now, range), major: bar.major }));
  return { notes, pressed, bars: bars.filter(({ y }) => y >= 0 && y <= HIT_Y) };
}

// ---------------------------------------------------------------- painters

/** Colours by theme; what belongs to a map (combo colours) comes with it. */
const THEMES = {
  dark: {
    stage: "#14141f",
    field: "#1a1a28",
    line: "#34344a",
    text: "#f4f4fa",
    faint: "#9a9ab4",
    rim: "#ffffff",
    edge: "#000000",
    body: "#14141f",
    lane: "#20202f",
    lane2: "#1a1a27",
  },
  light: {
    stage: "#eceef6",
    field: "#f7f8fd",
    line: "#c3c6d8",
    text: "#1b1b29",
    faint: "#5b5b76",
    rim: "#ffffff",
    edge: "#3a3a55",
    body: "#dfe2f0",
    lane: "#ffffff",
    lane2: "#f0f1f9",
  },
};
const COLOURS = {
  don: "#eb5f43",
  kat: "#4a97e0",
  drumroll: "#f0b429",
  denden: "#d779c4",
  spinner: "#b48cf2",
  kiai: "#ffa040",
  downbeat: "#ff3b52",
  hyper: "#ff3b52",
  banana: "#f5cf3b",
  select: "#59c2ff",
  note: "#8a8aa8",
  warning: "#ffa040",
  problem: "#ff3b52",
};
const FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', sans-serif";

/** A canvas that fills its box at the resolution of the screen. */
class Surface {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.fit();
  }

  /** Take the size of the box; whether it changed. */
  fit() {
    const density = Math.min(window.devicePixelRatio || 1, 3);
    this.wide = this.canvas.clientWidth;
    this.high = this.canvas.clientHeight;
    const width = Math.max(Math.round(this.wide * density), 1);
    const height = Math.max(Math.round(this.high * density), 1);
    const changed = width !== this.canvas.width || height !== this.canvas.height;
    if (changed) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    this.density = density;
    return changed;
  }
}

/** Pictures that are drawn once and used often, by name; the oldest go first. */
class Sprites {
  constructor(most = 160) {
    this.most = most;
    this.kept = new Map();
  }

  clear() {
    this.kept.clear();
  }

  /** A picture of `width` × `height` stage px, `scale` screen px each, that `paint` draws around its middle. */
  get(name, width, height, scale, paint) {
    return this.kept.get(name) || this.draw(name, width, height, scale, paint);
  }

  /** The same, drawn anew. */
  draw(name, width, height, scale, paint) {
    const sprite = this.kept.get(name) || document.createElement("canvas");
    sprite.width = Math.max(Math.ceil(width * scale), 1); // which clears it
    sprite.height = Math.max(Math.ceil(height * scale), 1);
    const context = sprite.getContext("2d");
    context.scale(scale, scale);
    context.translate(width / 2, height / 2);
    paint(context);
    this.kept.set(name, sprite);
    if (this.kept.size > this.most) this.kept.delete(this.kept.keys().next().value);
    return sprite;
  }
}

const TAU = 2 * Math.PI;

function disc(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, Math.max(radius, 0), 0, TAU);
}

function ring(context, x, y, radius, width, colour) {
  disc(context, x, y, radius);
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.stroke();
}

function box(context, x, y, width, height, radius) {
  context.beginPath();
  context.roundRect(x, y, width, height, Math.min(radius, Math.abs(width) / 2, Math.abs(height) / 2));
}

/** A circle as it is hit: a lit core, a white rim, and a fine edge that parts it from what lies below. */
function paintButton(context, radius, colour, theme) {
  const shine = context.createLinearGradient(0, -radius, 0, radius);
  shine.addColorStop(0, blend(colour, "#ffffff", 0.18));
  shine.addColorStop(1, blend(colour, "#000000", 0.3));
  disc(context, 0, 0, radius * 0.9);
  context.fillStyle = shine;
  context.fill();
  ring(context, 0, 0, radius * 0.92, radius * 0.11, theme.rim);
  ring(context, 0, 0, radius * 0.99, radius * 0.03, fade(theme.edge, 0.55));
}

/** An arrow that points along x. */
function arrow(context, size) {
  context.beginPath();
  context.moveTo(-size * 0.35, -size * 0.7);
  context.lineTo(size * 0.4, 0);
  context.lineTo(-size * 0.35, size * 0.7);
}

/** Draws scenes on a surface; `width` is that of the stage when it is 480 high. */
class Painter {
  constructor(surface) {
    this.surface = surface;
    this.sprites = new Sprites();
    this.theme = THEMES.dark;
    this.calm = false; // whether motion is reduced
  }

  /** Begin a frame: the whole stage, 480 high, cleared. */
  begin() {
    if (this.surface.fit()) this.sprites.clear();
    const { canvas, context } = this.surface;
    this.scale = canvas.height / STAGE_HEIGHT;
    this.width = canvas.width / this.scale;
    context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    context.globalAlpha = 1;
    context.fillStyle = this.theme.stage;
    context.fillRect(0, 0, this.width, STAGE_HEIGHT);
    context.lineCap = "round";
    context.lineJoin = "round";
    return context;
  }

  useTheme(name) {
    this.theme = THEMES[name];
    this.sprites.clear();
  }

  /** Draw a sprite with its middle at a place, larger or smaller, more or less there. */
  stamp(sprite, x, y, alpha = 1, size = 1) {
    const context = this.surface.context;
    const width = (sprite.width / this.spriteScale) * size;
    const height = (sprite.height / this.spriteScale) * size;
    context.globalAlpha = alpha;
    context.drawImage(sprite, x - width / 2, y - height / 2, width, height);
    context.globalAlpha = 1;
  }

  /** Into osu! pixels of the playfield, which is centred, four fifths as high as the stage. */
  enterField(top = 48) {
    const zoom = Math.min(1, this.width / 600);
    this.spriteScale = this.scale * zoom;
    this.surface.context.translate(this.width / 2 - (FIELD.width / 2) * zoom, top + (FIELD.height / 2) * (1 - zoom));
    this.surface.context.scale(zoom, zoom);
  }

  paint(map, time, options) {
    const context = this.begin();
    context.save();
    this.paintKiai(map, time);
    [this.paintStandard, this.paintTaiko, this.paintCatch, this.paintMania][map.mode].call(this, map, time, options);
    context.restore();
    this.paintBreak(map, time);
  }

  /** Kiai is a warm light from below that beats with the song; with reduced motion it only glows. */
  paintKiai(map, time) {
    if (!spanAt(map.kiai, time)) return;
    const [start, length] = rowAt(map.beats, time);
    const share = (((time - start) / length) % 1 + 1) % 1;
    const strength = this.calm ? 0.1 : mix(0.2, 0.07, easeOut(share));
    const context = this.surface.context;
    const glow = context.createLinearGradient(0, STAGE_HEIGHT, 0, STAGE_HEIGHT * 0.35);
    glow.addColorStop(0, fade(COLOURS.kiai, strength));
    glow.addColorStop(1, fade(COLOURS.kiai, 0));
    context.fillStyle = glow;
    context.fillRect(0, 0, this.width, STAGE_HEIGHT);
  }

  /** The rest of a break, as a bar that grows short. */
  paintBreak(map, time) {
    const rest = spanAt(map.breaks, time);
    if (!rest) return;
    const [start, end] = rest;
    const alpha = clamp((time - start) / 300) * clamp((end - time) / 300);
    const context = this.surface.context;
    const middle = this.width / 2;
    const length = 220 * ((end - time) / (end - start));
    context.globalAlpha = alpha;
    context.fillStyle = this.theme.line;
    box(context, middle - 110, 250, 220, 4, 2);
    context.fill();
    context.fillStyle = this.theme.text;
    box(context, middle - length / 2, 250, length, 4, 2);
    context.fill();
    this.write(`Break · ${Math.ceil((end - time) / 1000)} s`, middle, 226, 20, this.theme.text);
    context.globalAlpha = 1;
  }

  write(text, x, y, size, colour, weight = 600) {
    const context = this.surface.context;
    context.font = `${weight} ${size}px ${FONT}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillStyle = colour;
    context.fillText(text, x, y);
  }

  // -------------------------------------------------------------- osu!

  paintStandard(map, time) {
    const context = this.surface.context;
    this.enterField();
    box(context, 0, 0, FIELD.width, FIELD.height, 6);
    context.lineWidth = 1;
    context.strokeStyle = fade(this.theme.line, 0.5);
    context.stroke();
    const { items, follow } = standardScene(map, time);
    follow.forEach((point) => this.paintFollowPoint(point));
    for (const item of [...items].reverse()) {
      const colour = map.colours[item.object.colour % map.colours.length];
      if (item.kind === "spinner") this.paintSpinner(item);
      if (item.kind === "slider") this.paintSlider(map, item, colour);
      if (item.kind !== "spinner") this.paintCircle(map, item, colour);
    }
    for (const item of items) {
      if (item.kind === "spinner" || item.approach.alpha <= 0.01) continue;
      const colour = map.colours[item.object.colour % map.colours.length];
      context.globalAlpha = item.approach.alpha;
      ring(context, item.x, item.y, map.radius * item.approach.scale * 0.97, map.radius * 0.07, this.visible(colour));
      context.globalAlpha = 1;
    }
  }

  /** A colour that can be seen on this stage. */
  visible(colour) {
    return this.theme === THEMES.light ? blend(colour, "#000000", 0.25) : blend(colour, "#ffffff", 0.15);
  }

  paintFollowPoint({ x, y, angle, alpha }) {
    const context = this.surface.context;
    context.save();
    context.translate(x, y);
    context.rotate(angle);
    context.globalAlpha = alpha * 0.75;
    arrow(context, 4.5);
    context.lineWidth = 1.8;
    context.strokeStyle = this.theme.text;
    context.stroke();
    context.restore();
  }

  paintCircle(map, item, colour) {
    if (item.alpha <= 0.01) return;
    const size = this.calm ? 1 : item.scale;
    const across = map.radius * 2.1;
    const button = (context) => paintButton(context, map.radius, colour, this.theme);
    this.stamp(this.sprites.get(`circle ${colour}`, across, across, this.spriteScale, button), item.x, item.y, item.alpha, size);
    if (item.scale > 1) return;
    const context = this.surface.context;
    const number = this.sprites.get(`number ${item.object.number}`, across, across, this.spriteScale, (into) => {
      into.font = `700 ${map.radius * 0.82}px ${FONT}`;
      into.textAlign = "center";
      into.textBaseline = "middle";
      into.fillStyle = "#ffffff";
      into.shadowColor = "rgba(0, 0, 0, 0.45)";
      into.shadowBlur = map.radius * 0.1;
      into.fillText(String(item.object.number), 0, map.radius * 0.05);
    });
    this.stamp(number, item.x, item.y, item.alpha);
    context.globalAlpha = 1;
  }

  /** The body once as a picture; while it grows from its head it is drawn anew. */
  paintSlider(map, item, colour) {
    const { object, body } = item;
    if (body.alpha <= 0.01) return;
    const drawn = this.calm ? 1 : body.drawn;
    const frame = frameOf(object, map.radius + 4);
    const paint = (context) => {
      context.translate(-frame.x, -frame.y);
      paintBody(context, object, drawn, map.radius, colour, this.theme);
    };
    const sprite =
      drawn < 1
        ? this.sprites.draw("growing body", frame.width, frame.height, this.spriteScale, paint)
        : this.sprites.get(`body ${item.index}`, frame.width, frame.height, this.spriteScale, paint);
    this.stamp(sprite, frame.x, frame.y, body.alpha);
    this.paintTicks(map, object, body);
    body.turns.forEach((end) => this.paintTurn(map, object, end, body));
    if (body.ball) this.paintBall(map, body, colour);
  }

  paintTicks(map, object, body) {
    const context = this.surface.context;
    context.globalAlpha = body.alpha * body.drawn;
    for (const tick of body.ticks) {
      const { x, y } = alongPath(object, tick);
      disc(context, x, y, map.radius * 0.12);
      context.fillStyle = this.theme.text;
      context.fill();
    }
    context.globalAlpha = 1;
  }

  paintTurn(map, object, end, body) {
    const context = this.surface.context;
    const { x, y, angle } = alongPath(object, end);
    if (end === 0 && body.ballAge < 0) return; // under the head
    const pulse = this.calm ? 1 : 1.25 - 0.25 * clamp((((body.ballAge % 300) + 300) % 300) / 300);
    context.save();
    context.translate(x, y);
    context.rotate(end ? angle + Math.PI : angle);
    context.globalAlpha = body.alpha * body.drawn;
    ring(context, 0, 0, map.radius * 0.92, map.radius * 0.08, fade(this.theme.rim, 0.8));
    arrow(context, map.radius * 0.55 * pulse);
    context.lineWidth = map.radius * 0.17;
    context.strokeStyle = this.theme === THEMES.light ? this.theme.edge : this.theme.rim;
    context.stroke();
    context.restore();
  }

  paintBall(map, body, colour) {
    const context = this.surface.context;
    const { x, y, angle } = body.ball;
    const opening = this.calm ? 1 : easeOut(clamp(body.ballAge / 180));
    disc(context, x, y, map.radius * mix(1.1, 2.4, opening));
    context.fillStyle = fade(colour, 0.12);
    context.fill();
    ring(context, x, y, map.radius * mix(1.1, 2.4, opening), map.radius * 0.08, fade(this.visible(colour), 0.85));
    context.save();
    context.translate(x, y);
    context.rotate(angle);
    paintButton(context, map.radius * 0.95, blend(colour, "#ffffff", 0.25), this.theme);
    for (const side of [-1, 1]) {
      context.beginPath(); // two bows, so that one sees it roll
      context.arc(0, 0, map.radius * 0.5, side > 0 ? -0.7 : Math.PI - 0.7, side > 0 ? 0.7 : Math.PI + 0.7);
      context.lineWidth = map.radius * 0.14;
      context.strokeStyle = fade("#ffffff", 0.75);
      context.stroke();
    }
    context.restore();
  }

  paintSpinner({ alpha, angle, done }) {
    const context = this.surface.context;
    const colour = COLOURS.spinner;
    context.save();
    context.globalAlpha = alpha;
    context.translate(FIELD.width / 2, FIELD.height / 2);
    disc(context, 0, 0, 165);
    context.fillStyle = fade(colour, 0.08);
    context.fill();
    ring(context, 0, 0, 165, 1.5, fade(this.visible(colour), 0.35));
    ring(context, 0, 0, mix(160, 14, done), 4, this.visible(colour));
    context.beginPath();
    context.arc(0, 0, 165, -TAU / 4, -TAU / 4 + TAU * done);
    context.lineWidth = 6;
    context.strokeStyle = this.visible(colour);
    context.stroke();
    context.rotate(this.calm ? 0 : angle);
    for (let arm = 0; arm < 3; arm += 1) {
      context.rotate(TAU / 3);
      context.beginPath();
      context.arc(0, 0, 92, -0.62, 0.62);
      context.lineWidth = 13;
      context.strokeStyle = fade(this.visible(colour), 0.55);
      context.stroke();
    }
    disc(context, 0, 0, 9);
    context.fillStyle = this.theme.text;
    context.fill();
    context.restore();
  }

  // -------------------------------------------------------------- taiko

  paintTaiko(map, time) {
    const context = this.surface.context;
    const lane = { top: 150, height: 170 };
    this.spriteScale = this.scale;
    context.fillStyle = this.theme.lane;
    context.fillRect(0, lane.top, this.width, lane.height);
    context.fillStyle = this.theme.line;
    context.fillRect(0, lane.top - 2, this.width, 2);
    context.fillRect(0, lane.top + lane.height, this.width, 2);
    const y = lane.top + lane.height / 2;
    const { notes, bars } = taikoScene(map, time, this.width);
    for (const bar of bars) {
      context.fillStyle = fade(this.theme.text, bar.major ? 0.45 : 0.2);
      context.fillRect(bar.x - 0.75, lane.top, 1.5, lane.height);
    }
    this.paintTarget(notes, y);
    for (const note of notes.reverse()) this.paintDrum(note, y);
  }

  /** Where notes are hit lights up in the colour of what was. */
  paintTarget(notes, y) {
    const context = this.surface.context;
    ring(context, TARGET_X, y, 42, 3, fade(this.theme.text, 0.55));
    ring(context, TARGET_X, y, 62, 1.5, fade(this.theme.text, 0.25));
    const last = notes.filter(({ hit, kind }) => hit && COLOURS[kind]).pop();
    if (!last) return;
    disc(context, TARGET_X, y, 42);
    context.fillStyle = fade(COLOURS[last.kind], 0.5 * left(last.age, 0, HIT_FADE));
    context.fill();
  }

  paintDrum({ kind, object, x, length, hit, age }, y) {
    const radius = object.big ? 58 : 40;
    if (kind === "drumroll") return this.paintRoll(object, x, length, radius, y);
    if (kind === "denden") return this.paintDenden(object, Math.max(x, TARGET_X), age, y);
    const across = radius * 2.1;
    const colour = COLOURS[kind];
    const sprite = this.sprites.get(`${kind} ${object.big}`, across, across, this.spriteScale, (context) => {
      paintButton(context, radius, colour, this.theme);
      if (kind === "kat") ring(context, 0, 0, radius * 0.55, radius * 0.09, fade("#ffffff", 0.55));
      if (kind === "don") {
        disc(context, 0, 0, radius * 0.3);
        context.fillStyle = fade("#ffffff", 0.4);
        context.fill();
      }
    });
    if (!hit) return this.stamp(sprite, x, y);
    if (this.calm) return undefined;
    const share = clamp(age / HIT_FADE); // what was hit flies off
    return this.stamp(sprite, TARGET_X + 60 * share, y - 150 * easeOut(share), 1 - share, 1 - 0.4 * share);
  }

  paintRoll(object, x, length, radius, y) {
    const context = this.surface.context;
    const colour = COLOURS.drumroll;
    box(context, x - radius * 0.92, y - radius * 0.92, length + radius * 1.84, radius * 1.84, radius);
    context.fillStyle = blend(colour, this.theme.lane, 0.2);
    context.fill();
    context.lineWidth = radius * 0.11;
    context.strokeStyle = this.theme.rim;
    context.stroke();
    const count = Math.min(Math.floor((object.end - object.time) / object.tick + 1e-6), 400);
    for (let i = 0; i <= count; i += 1) {
      const at = x + (i * object.tick * length) / Math.max(object.end - object.time, 1);
      disc(context, at, y, i % 4 ? 3 : 5);
      context.fillStyle = fade("#000000", 0.5);
      context.fill();
    }
    return undefined;
  }

  paintDenden(object, x, age, y) {
    const context = this.surface.context;
    const lasts = Math.max(object.end - object.time, 1);
    const done = clamp(age / lasts);
    const alpha = left(age, lasts, HIT_FADE);
    const across = 90;
    const sprite = this.sprites.get("denden", across, across, this.spriteScale, (into) => {
      paintButton(into, 42, COLOURS.denden, this.theme);
    });
    this.stamp(sprite, x, y, alpha);
    context.globalAlpha = alpha;
    if (age >= 0) ring(context, x, y, mix(120, 46, done), 4, COLOURS.denden);
    const hits = Math.max(Math.ceil(object.hits * (1 - done)), 0);
    this.write(String(hits), x, y + 1, 22, "#ffffff", 700);
    context.globalAlpha = 1;
  }

  // -------------------------------------------------------------- catch

  paintCatch(map, time) {
    const context = this.surface.context;
    this.enterField(70);
    const { items, catcher } = catchScene(map, time);
    context.fillStyle = this.theme.field;
    context.fillRect(0, -80, FIELD.width, FIELD.height + 180);
    context.fillStyle = this.theme.line;
    context.fillRect(-1.5, -80, 1.5, 600);
    context.fillRect(FIELD.width, -80, 1.5, 600);
    this.paintCatcher(map, catcher);
    for (const item of items.reverse()) this.paintFruit(map, item);
  }

  paintCatcher(map, { x, hyper }) {
    const context = this.surface.context;
    const half = map.plate / 2;
    const colour = hyper ? COLOURS.hyper : this.theme.text;
    context.fillStyle = fade(colour, 0.1);
    context.fillRect(x - half, PLATE_Y, half * 2, 200);
    box(context, x - half, PLATE_Y + 4, half * 2, 9, 5);
    context.fillStyle = colour;
    context.fill();
    box(context, x - half * 0.8, PLATE_Y + 4, half * 1.6, 4, 2);
    context.fillStyle = fade(hyper ? "#ffffff" : COLOURS.select, 0.9);
    context.fill();
    disc(context, x, PLATE_Y + 36, 17);
    context.fillStyle = fade(colour, 0.85);
    context.fill();
    box(context, x - 12, PLATE_Y + 54, 24, 34, 9);
    context.fill();
  }

  paintFruit(map, { kind, object, x, y, alpha }) {
    const size = { fruit: 1, drop: 0.5, tiny: 0.25, banana: 0.8 }[kind];
    const radius = map.radius * size;
    const colour = kind === "banana" ? COLOURS.banana : map.colours[object.colour % map.colours.length];
    const across = radius * 3;
    const name = `${kind} ${colour} ${object.hyper}`;
    const sprite = this.sprites.get(name, across, across, this.spriteScale, (context) => {
      if (object.hyper) {
        disc(context, 0, 0, radius * 1.3);
        context.fillStyle = fade(COLOURS.hyper, 0.4);
        context.fill();
        ring(context, 0, 0, radius * 1.22, radius * 0.14, COLOURS.hyper);
      }
      if (kind === "banana") return paintBanana(context, radius, colour, this.theme);
      paintButton(context, radius, colour, this.theme);
      if (kind === "fruit") paintStalk(context, radius);
      return undefined;
    });
    this.stamp(sprite, x, y, alpha);
  }

  // -------------------------------------------------------------- mania

  paintMania(map, time, { scroll }) {
    const context = this.surface.context;
    const column = Math.min(56, (this.width - 40) / map.keys);
    const edge = this.width / 2 - (column * map.keys) / 2;
    this.spriteScale = this.scale;
    const { notes, pressed, bars } = maniaScene(map, time, scroll);
    for (let i = 0; i < map.keys; i += 1) this.paintColumn(map, i, edge + i * column, column, pressed[i]);
    for (const bar of bars) {
      context.fillStyle = fade(this.theme.text, bar.major ? 0.28 : 0.1);
      context.fillRect(edge, bar.y - 0.5, column * map.keys, 1);
    }
    context.save();
    context.beginPath();
    context.rect(edge, 0, column * map.keys, HIT_Y + 8);
    context.clip();
    for (const note of notes) this.paintNote(map, note, edge + note.column * column, column);
    context.restore();
    context.fillStyle = fade(this.theme.text, 0.8);
    context.fillRect(edge, HIT_Y + 8, column * map.keys, 2.5);
    context.fillStyle = this.theme.line;
    context.fillRect(edge - 2, 0, 2, STAGE_HEIGHT);
    context.fillRect(edge + column * map.keys, 0, 2, STAGE_HEIGHT);
  }

  paintColumn(map, i, x, width, pressed) {
    const context = this.surface.context;
    const colour = keyColour(i, map.keys);
    context.fillStyle = i % 2 ? this.theme.lane2 : this.theme.lane;
    context.fillRect(x, 0, width, STAGE_HEIGHT);
    if (pressed) {
      const light = context.createLinearGradient(0, HIT_Y, 0, HIT_Y - 220);
      light.addColorStop(0, fade(colour, 0.4 * pressed));
      light.addColorStop(1, fade(colour, 0));
      context.fillStyle = light;
      context.fillRect(x, HIT_Y - 220, width, 228);
    }
    box(context, x + 5, HIT_Y + 22, width - 10, 36, 7);
    context.fillStyle = pressed ? fade(colour, 0.35 + 0.65 * pressed) : fade(this.theme.faint, 0.25);
    context.fill();
  }

  paintNote(map, { kind, y, tail, held }, x, width) {
    const context = this.surface.context;
    const colour = keyColour(map.keys > 1 ? Math.round((x - this.width / 2) / width + map.keys / 2) : 0, map.keys);
    const tall = 15;
    if (kind === "hold") {
      box(context, x + 5, tail - tall / 2, width - 10, Math.max(y - tail, 1) + tall / 2, 6);
      context.fillStyle = blend(colour, this.theme.lane, held ? 0.25 : 0.5);
      context.fill();
    }
    const top = context.createLinearGradient(0, y - tall, 0, y);
    top.addColorStop(0, blend(colour, "#ffffff", 0.3));
    top.addColorStop(1, colour);
    box(context, x + 2, y - tall + 8, width - 4, tall, 4);
    context.fillStyle = top;
    context.fill();
    context.lineWidth = 1;
    context.strokeStyle = fade(this.theme.edge, 0.35);
    context.stroke();
  }
}

/** The colour of a mania column: outer and inner ones in turn, the middle one of its own. */
export function keyColour(column, keys) {
  if (keys % 2 && column === (keys - 1) / 2) return "#ffc94d";
  const fromEdge = Math.min(column, keys - 1 - column);
  return fromEdge % 2 ? "#4aa8ff" : "#c6cbe0";
}

/** The box around a path, as its middle and size. */
function frameOf(object, margin) {
  if (object.frame) return object.frame;
  const xs = object.path.filter((_, i) => i % 2 === 0);
  const ys = object.path.filter((_, i) => i % 2 === 1);
  const [x0, x1] = [xs.reduce((a, b) => Math.min(a, b)) - margin, xs.reduce((a, b) => Math.max(a, b)) + margin];
  const [y0, y1] = [ys.reduce((a, b) => Math.min(a, b)) - margin, ys.reduce((a, b) => Math.max(a, b)) + margin];
  const frame = { x: (x0 + x1) / 2, y: (y0 + y1) / 2, width: Math.min(x1 - x0, 2000), height: Math.min(y1 - y0, 2000) };
  Object.defineProperty(object, "frame", { value: frame });
  return frame;
}

/** Trace a path from its head to a share of its length. */
function tracePath(context, object, share) {
  const { path } = object;
  const sums = lengthsOf(object);
  const until = share * sums[sums.length - 1];
  context.beginPath();
  context.moveTo(path[0], path[1]);
  for (let i = 1; i < sums.length && sums[i] <= until; i += 1) context.lineTo(path[2 * i], path[2 * i + 1]);
  const end = alongPath(object, share);
  context.lineTo(end.x, end.y);
}

/** The body of a slider: a rim, and a core that is lighter along its middle. */
function paintBody(context, object, share, radius, colour, theme) {
  context.lineCap = "round";
  context.lineJoin = "round";
  tracePath(context, object, share);
  const tubes = [
    [2, fade(theme.edge, 0.4)],
    [1.95, theme.rim],
    [1.72, blend(theme.body, colour, 0.22)],
    [1.2, blend(theme.body, colour, 0.32)],
    [0.6, blend(theme.body, colour, 0.42)],
  ];
  for (const [width, stroke] of tubes) {
    context.lineWidth = radius * width;
    context.strokeStyle = stroke;
    context.stroke();
  }
}

function paintBanana(context, radius, colour, theme) {
  context.rotate(-0.5);
  context.beginPath();
  context.moveTo(-radius, -radius * 0.35);
  context.quadraticCurveTo(0, radius * 1.35, radius, -radius * 0.35);
  context.quadraticCurveTo(0, radius * 0.35, -radius, -radius * 0.35);
  context.lineJoin = "round";
  context.lineWidth = radius * 0.3;
  context.strokeStyle = fade(theme.edge, 0.6);
  context.stroke();
  context.lineWidth = radius * 0.2;
  context.strokeStyle = theme.rim;
  context.stroke();
  context.fillStyle = colour;
  context.fill();
}

function paintStalk(context, radius) {
  context.beginPath();
  context.moveTo(0, -radius * 0.35);
  context.quadraticCurveTo(radius * 0.05, -radius * 0.75, radius * 0.35, -radius * 0.85);
  context.lineWidth = radius * 0.13;
  context.strokeStyle = fade("#ffffff", 0.8);
  context.stroke();
}

// ---------------------------------------------------------------- the clock and the sounds

const TOO_FAR = 70; // ms by which clock and song may part before the clock jumps

/** The moment that is shown. With a song it follows the song, smoothly; before, after and without it, it runs by itself. */
export class Clock {
  constructor(now = () => performance.now()) {
    this.now = now;
    this.at = 0;
    this.since = 0;
    this.rate = 1;
    this.playing = false;
    this.song = null;
  }

  get time() {
    return this.playing ? this.at + (this.now() - this.since) * this.rate : this.at;
  }

  /** Let time go on from a moment. */
  set time(time) {
    this.at = time;
    this.since = this.now();
    if (this.song && this.hasSong(time)) this.song.currentTime = time / 1000;
  }

  hasSong(time) {
    return time >= 0 && time < this.song.duration * 1000;
  }

  play() {
    this.since = this.now();
    this.playing = true;
    this.keepStep();
  }

  pause() {
    this.at = this.time;
    this.playing = false;
    if (this.song) this.song.pause();
  }

  setRate(rate) {
    this.at = this.time;
    this.since = this.now();
    this.rate = rate;
    if (this.song) this.song.playbackRate = rate;
  }

  useSong(song) {
    this.song = song;
    song.playbackRate = this.rate;
    song.preservesPitch = true;
  }

  /** Start or stop the song where it begins and ends, and take up what the two have drifted apart. */
  keepStep() {
    if (!this.playing || !this.song || !Number.isFinite(this.song.duration)) return;
    const time = this.time;
    if (!this.hasSong(time)) {
      if (!this.song.paused) this.song.pause();
      return;
    }
    if (this.song.paused) {
      this.song.currentTime = time / 1000;
      this.song.play().catch(() => {}); // refused until somebody has pressed a key: time goes on in silence
      return;
    }
    if (this.song.seeking) return;
    const drift = this.song.currentTime * 1000 - time;
    this.at = time + (Math.abs(drift) > TOO_FAR ? drift : drift * 0.05);
    this.since = this.now();
  }
}

const AHEAD = 120; // ms of the song for which clicks are planned
const SOUNDS = { 1: [880, 0.5], 2: [1480, 0.3], 4: [420, 0.6], 8: [620, 0.6] }; // hitsound bit -> Hz and loudness
const DRUMS = { don: [150, 1.1], kat: [640, 0.7] };

/** Hit clicks, made when they are needed and played at their time. */
class Clicks {
  constructor() {
    this.volume = 0.5;
    this.until = -Infinity;
  }

  /** Browsers let sound begin only after somebody pressed something. */
  wake() {
    const Context = window.AudioContext || window.webkitAudioContext;
    if (!this.context && Context) this.context = new Context();
    if (this.context && this.context.state === "suspended") this.context.resume();
  }

  restart(time) {
    this.until = time;
  }

  /** Plan what sounds between the last plan and a little ahead. */
  plan(map, time, rate) {
    const end = time + AHEAD * rate;
    if (this.context && this.volume > 0) {
      const from = Math.max(this.until, time - 20);
      for (const [at, bits] of map.hits) {
        if (at > end) break;
        if (at > from) this.click(bits, map.mode, Math.max(at - time, 0) / rate / 1000);
      }
    }
    this.until = Math.max(this.until, end);
  }

  click(bits, mode, delay) {
    if (mode === 1) return this.tone(DRUMS[bits & 10 ? "kat" : "don"], delay, bits & 4 ? 1.5 : 1);
    this.tone(SOUNDS[1], delay, 1);
    for (const bit of [2, 4, 8]) if (bits & bit) this.tone(SOUNDS[bit], delay, 1);
    return undefined;
  }

  /** A short tone that falls. */
  tone([pitch, loudness], delay, gain) {
    const start = this.context.currentTime + delay;
    const source = this.context.createOscillator();
    const envelope = this.context.createGain();
    source.type = "triangle";
    source.frequency.setValueAtTime(pitch * 1.6, start);
    source.frequency.exponentialRampToValueAtTime(pitch, start + 0.03);
    envelope.gain.setValueAtTime(this.volume * loudness * gain * 0.5, start);
    envelope.gain.exponentialRampToValueAtTime(0.0008, start + 0.09);
    source.connect(envelope).connect(this.context.destination);
    source.start(start);
    source.stop(start + 0.1);
  }
}

// ---------------------------------------------------------------- the timeline

const RULER = 22; // px below the density: here a range is chosen
const HANDLE = 7; // px around the end of a range within which it is taken

/** Density, kiai, breaks, bookmarks, markers, the range and the present; above one scrubs, below one chooses a range. */
class Timeline {
  constructor(canvas, player) {
    this.surface = new Surface(canvas);
    this.player = player;
    this.stills = new Sprites();
    this.drag = null;
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.release(event));
    canvas.addEventListener("pointercancel", () => (this.drag = null));
  }

  get height() {
    return this.surface.high;
  }

  get width() {
    return this.surface.wide;
  }

  x(time) {
    const { start, end } = this.player.bounds;
    return ((time - start) / (end - start)) * this.width;
  }

  timeAt(x) {
    const { start, end } = this.player.bounds;
    return clamp(start + (x / Math.max(this.width, 1)) * (end - start), start, end);
  }

  // what the pointer does

  place(event) {
    const frame = this.surface.canvas.getBoundingClientRect();
    return { x: event.clientX - frame.left, y: event.clientY - frame.top };
  }

  press(event) {
    const { x, y } = this.place(event);
    this.surface.canvas.setPointerCapture(event.pointerId);
    if (y < this.height - RULER) {
      this.drag = { kind: "scrub" };
      this.player.seek(this.timeAt(x));
      return;
    }
    const { range } = this.player;
    const near = (time) => Math.abs(this.x(time) - x) <= HANDLE;
    if (range && near(range.start)) this.drag = { kind: "range", fixed: range.end, moved: true };
    else if (range && near(range.end)) this.drag = { kind: "range", fixed: range.start, moved: true };
    else this.drag = { kind: "range", fixed: this.timeAt(x), moved: false, x };
  }

  move(event) {
    const { x, y } = this.place(event);
    if (!this.drag) {
      this.surface.canvas.style.cursor = y < this.height - RULER ? "pointer" : "col-resize";
      this.surface.canvas.title = this.titleAt(x, y);
      return;
    }
    const time = this.timeAt(x);
    if (this.drag.kind === "scrub") this.player.seek(time);
    else if (this.drag.moved || Math.abs(x - this.drag.x) > 3) {
      this.drag.moved = true;
      this.player.select(this.drag.fixed, time, false);
    }
  }

  release() {
    if (this.drag && this.drag.kind === "range") {
      if (this.drag.moved) this.player.tellRange();
      else this.player.select(null);
    }
    this.drag = null;
  }

  /** What lies under the pointer, in words. */
  titleAt(x, y) {
    const near = this.player.markers.find((marker) => Math.abs(this.x(marker.time) - x) < 5);
    if (near) return `${clockText(near.time)} ${near.text}`;
    return y < this.height - RULER ? clockText(this.timeAt(x)) : "Drag to select a range, click to clear it";
  }

  // what is drawn

  paint(map, time, theme) {
    this.surface.fit();
    const { context, density, canvas } = this.surface;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const now = Math.round(this.x(time) * density);
    context.drawImage(this.still(map, theme, false), 0, 0);
    if (now > 0) context.drawImage(this.still(map, theme, true), 0, 0, now, canvas.height, 0, 0, now, canvas.height);
    context.setTransform(density, 0, 0, density, 0, 0);
    this.paintRange(context, theme);
    this.paintPresent(context, time, theme);
  }

  /** What does not change from frame to frame, as a picture: with what was played bright, and with what is to come pale. */
  still(map, theme, played) {
    const { canvas, density } = this.surface;
    const { start, end } = this.player.bounds;
    const state = [this.player.edition, theme.stage, canvas.width, canvas.height, density, start, end].join(" ");
    if (state !== this.state) this.stills.clear();
    this.state = state;
    return this.stills.get(String(played), canvas.width / density, canvas.height / density, density, (context) => {
      context.translate(-this.width / 2, -this.height / 2);
      context.fillStyle = theme.field;
      context.fillRect(0, 0, this.width, this.height - RULER);
      this.paintSpans(context, map, theme);
      this.paintDensity(context, map, theme, played);
      this.paintRuler(context, theme);
      this.paintMarks(context, map, theme);
    });
  }

  paintSpans(context, map, theme) {
    const high = this.height - RULER;
    for (const [start, end] of map.kiai) {
      context.fillStyle = fade(COLOURS.kiai, 0.2);
      context.fillRect(this.x(start), 0, this.x(end) - this.x(start), high);
      context.fillStyle = COLOURS.kiai;
      context.fillRect(this.x(start), 0, this.x(end) - this.x(start), 3);
    }
    for (const [start, end] of map.breaks) {
      context.fillStyle = fade(theme.faint, 0.25);
      context.fillRect(this.x(start), 0, this.x(end) - this.x(start), high);
    }
  }

  paintDensity(context, map, theme, played) {
    const { start, step, values } = map.density;
    const most = Math.max(...values, 1);
    const high = this.height - RULER;
    context.beginPath();
    context.moveTo(this.x(start), high);
    values.forEach((value, i) => context.lineTo(this.x(start + i * step), high - (value / most) * (high - 10)));
    context.lineTo(this.x(start + (values.length - 1) * step), high);
    const bright = theme === THEMES.light ? blend(COLOURS.select, "#000000", 0.2) : COLOURS.select;
    context.fillStyle = played ? bright : fade(COLOURS.select, theme === THEMES.light ? 0.45 : 0.35);
    context.fill();
  }

  paintRuler(context, theme) {
    const { start, end } = this.player.bounds;
    const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600].map((seconds) => seconds * 1000);
    const wanted = ((end - start) / Math.max(this.width, 1)) * 64;
    const step = steps.find((one) => one >= wanted) || Math.ceil(wanted / 3.6e6) * 3.6e6;
    const top = this.height - RULER;
    context.fillStyle = theme.lane2;
    context.fillRect(0, top, this.width, RULER);
    context.font = `11px ${FONT}`;
    context.textBaseline = "middle";
    for (let time = Math.ceil(start / step) * step; time < end; time += step) {
      const x = this.x(time);
      context.fillStyle = theme.line;
      context.fillRect(x, top, 1, 6);
      const text = clockText(time, false);
      const wide = context.measureText(text).width;
      context.fillStyle = theme.faint;
      context.textAlign = "left";
      if (x - wide / 2 > 2 && x + wide / 2 < this.width - 2) context.fillText(text, x - wide / 2, top + 14);
    }
  }

  paintMarks(context, map, theme) {
    const high = this.height - RULER;
    for (const time of map.bookmarks) {
      context.fillStyle = fade(COLOURS.select, 0.9);
      context.fillRect(this.x(time) - 0.5, high - 9, 1.5, 9);
    }
    if (map.previewTime >= 0) {
      context.fillStyle = fade(theme.text, 0.7);
      context.fillRect(this.x(map.previewTime) - 0.5, 0, 1.5, high);
    }
    for (const marker of this.player.markers) {
      const x = this.x(marker.time);
      context.fillStyle = markerColour(marker);
      context.beginPath();
      context.moveTo(x - 4.5, 0);
      context.lineTo(x + 4.5, 0);
      context.lineTo(x, 9);
      context.fill();
      context.fillRect(x - 0.5, 8, 1, high - 8);
    }
  }

  paintRange(context, theme) {
    const { range } = this.player;
    if (!range) return;
    const [x0, x1] = [this.x(range.start), this.x(range.end)];
    context.fillStyle = fade(COLOURS.select, 0.16);
    context.fillRect(x0, 0, x1 - x0, this.height);
    context.fillStyle = theme === THEMES.light ? blend(COLOURS.select, "#000000", 0.3) : COLOURS.select;
    for (const x of [x0, x1]) {
      context.fillRect(x - 1, 0, 2, this.height);
      box(context, x - 4, this.height - RULER + 4, 8, RULER - 8, 3);
      context.fill();
    }
  }

  paintPresent(context, time, theme) {
    const x = this.x(time);
    context.fillStyle = theme.text;
    context.fillRect(x - 1, 0, 2, this.height - RULER);
    disc(context, x, this.height - RULER, 4);
    context.fill();
  }
}

const markerColour = (marker) => COLOURS[marker.kind] || COLOURS.note;

// ---------------------------------------------------------------- the player

const STYLE = `
:host { display: block; }
* { box-sizing: border-box; }
.preview {
  --stage: #14141f; --panel: #1b1b29; --line: #34344a; --text: #f4f4fa; --faint: #a3a3bd; --accent: #59c2ff;
  color: var(--text); background: var(--panel); border: 1px solid var(--line); border-radius: 12px;
  font: 14px/1.45 system-ui, -apple-system, "Segoe UI", "Noto Sans", sans-serif; overflow: hidden; text-align: left;
  container-type: inline-size;
}
.preview.light { --stage: #eceef6; --panel: #ffffff; --line: #cfd2e2; --text: #1b1b29; --faint: #5b5b76; --accent: #0b6cad; }
.head { display: flex; flex-wrap: wrap; gap: 6px 14px; align-items: center; padding: 10px 14px; }
.names { flex: 1 1 240px; min-width: 0; }
.title { margin: 0; font-size: 16px; font-weight: 650; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.facts { margin: 0; color: var(--faint); font-size: 12.5px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.stage { position: relative; background: var(--stage); aspect-ratio: 16 / 9; max-height: max(260px, calc(100vh - 252px)); width: 100%; touch-action: manipulation; }
.stage canvas { display: block; width: 100%; height: 100%; }
.hud { position: absolute; inset: 10px 14px auto; display: flex; justify-content: space-between; pointer-events: none;
  font-variant-numeric: tabular-nums; font-size: 13px; color: var(--faint); }
.start { position: absolute; inset: 0; margin: auto; width: 84px; height: 84px; border-radius: 50%; padding: 0;
  background: color-mix(in srgb, var(--panel) 82%, transparent); }
.start svg { width: 40px; height: 40px; }
.timeline { padding: 0; position: relative; border-block: 1px solid var(--line); outline-offset: -3px; }
.timeline canvas { display: block; width: 100%; height: 84px; touch-action: none; }
.controls { display: flex; flex-wrap: wrap; gap: 8px 14px; align-items: center; padding: 10px 14px; }
.group { display: flex; gap: 6px; align-items: center; }
.space { flex: 1 1 auto; }
.time { font-variant-numeric: tabular-nums; min-width: 9.5em; }
button, select { font: inherit; color: inherit; background: transparent; border: 1px solid var(--line); border-radius: 8px;
  min-height: 34px; padding: 4px 10px; cursor: pointer; }
button { display: inline-flex; align-items: center; justify-content: center; gap: 6px; }
button:hover, select:hover { border-color: var(--accent); }
button[aria-pressed="true"] { border-color: var(--accent); color: var(--accent); }
button.play { background: var(--accent); border-color: var(--accent); color: #0d1520; min-width: 44px; }
.light button.play { color: #ffffff; }
select option { color: #1b1b29; background: #ffffff; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
svg { width: 18px; height: 18px; fill: currentColor; }
label { display: inline-flex; gap: 6px; align-items: center; color: var(--faint); font-size: 12.5px; }
output { min-width: 3.4em; color: var(--text); font-variant-numeric: tabular-nums; }
input[type="range"] { accent-color: var(--accent); width: 78px; margin: 0; min-height: 24px; }
.stars { border-radius: 99px; padding: 1px 9px; font-size: 12.5px; font-weight: 700; font-variant-numeric: tabular-nums; }
.markers { margin: 0; padding: 0 14px 12px; list-style: none; max-height: 12.5em; overflow: auto; }
.markers button { width: 100%; justify-content: flex-start; border-color: transparent; text-align: left; padding: 3px 8px; }
.markers i { flex: none; width: 9px; height: 9px; border-radius: 50%; }
.markers b { flex: none; font-weight: 600; font-variant-numeric: tabular-nums; color: var(--faint); }
.help { margin: 0; padding: 0 14px 12px; color: var(--faint); font-size: 12.5px; }
.help dl { display: grid; grid-template-columns: auto 1fr; gap: 2px 12px; margin: 0; }
.help dt { color: var(--text); }
.help dd { margin: 0; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
[hidden] { display: none !important; }
@container (max-width: 560px) {
  .stage { aspect-ratio: 4 / 3; }
  .start { width: 64px; height: 64px; }
  .controls label { width: 100%; }
  .controls input[type="range"] { flex: 1 1 auto; }
}
.preview:fullscreen { border: 0; border-radius: 0; display: flex; flex-direction: column; }
.preview:fullscreen .stage { flex: 1 1 auto; min-height: 0; max-height: none; aspect-ratio: auto; }
`;

const ICONS = {
  play: "M7 4.5v15l12-7.5z",
  pause: "M6 5h4v14H6zM14 5h4v14h-4z",
  loop: "M7 7h9v3l5-4-5-4v3H5v7h2zM17 17H8v-3l-5 4 5 4v-3h11v-7h-2z",
  theme: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18v-2a7 7 0 0 0 0-14z",
  full: "M4 4h6v2H6v4H4zM14 4h6v6h-2V6h-4zM4 14h2v4h4v2H4zM18 14h2v6h-6v-2h4z",
};
const KEYS = [
  ["Space", "play or pause"],
  ["← →", "one second; with Shift, one beat"],
  ["Home End", "to the first and past the last object"],
  ["↑ ↓", "faster or slower"],
  ["[ ]", "the range begins or ends here; Esc clears it"],
  ["L", "repeat the range"],
  ["N P", "next or previous marker"],
  ["M", "hit clicks on or off"],
  ["+ −", "scroll speed in mania"],
  ["F", "full screen"],
  ["Pointer", "drag above to scrub, on the ruler to select a range"],
];
const MODES = ["osu!", "osu!taiko", "osu!catch", "osu!mania"];

/** An element with attributes and children; text stays text. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function icon(name) {
  const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  picture.setAttribute("viewBox", "0 0 24 24");
  picture.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  picture.append(path);
  return picture;
}

/** Give a shadow root its style: as a sheet, which no policy forbids, or as an element where the browser is too old for that. */
function dress(root) {
  if (!("adoptedStyleSheets" in Document.prototype)) {
    root.append(element("style", {}, STYLE));
    return;
  }
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  root.adoptedStyleSheets = [sheet];
}

/** A slider with its name and its value. */
function dial(name, attributes, show, change) {
  const shown = element("output", {});
  const input = element("input", { type: "range", "aria-label": name, ...attributes });
  const say = () => {
    shown.textContent = show(Number(input.value));
    input.setAttribute("aria-valuetext", shown.textContent);
  };
  input.addEventListener("input", () => {
    say();
    change(Number(input.value));
  });
  say();
  const set = (value) => {
    input.value = value;
    say();
    change(Number(input.value));
  };
  return { box: element("label", {}, name, input, shown), input, set };
}

const STAR_COLOURS = [
  [0.1, "#4290fb"],
  [1.25, "#4fc0ff"],
  [2, "#4fffd5"],
  [2.5, "#7cff4f"],
  [3.3, "#f6f05c"],
  [4.2, "#ff8068"],
  [4.9, "#ff4e6f"],
  [5.8, "#c645b8"],
  [6.7, "#6563de"],
  [7.7, "#18158e"],
  [9, "#000000"],
];

/** The game's colour for a number of stars. */
export function starColour(stars) {
  const above = STAR_COLOURS.findIndex(([at]) => at >= stars);
  if (above === 0) return STAR_COLOURS[0][1];
  if (above < 0) return STAR_COLOURS[STAR_COLOURS.length - 1][1];
  const [[low, from], [high, to]] = STAR_COLOURS.slice(above - 1, above + 1);
  return blend(from, to, (stars - low) / (high - low));
}

/** The whole preview within an element. */
export class Player {
  constructor(host, data, callbacks = {}) {
    this.host = host;
    this.maps = data.maps;
    this.markers = [];
    this.callbacks = callbacks;
    this.clock = new Clock();
    this.clicks = new Clicks();
    this.scroll = SCROLL_SPEED;
    this.range = null;
    this.looping = false;
    this.frames = 0;
    this.edition = 0; // counts what changes the look of the timeline
    this.build();
    this.watch();
    this.show(data.difficulty || 0);
    this.setMarkers(data.markers || []);
    this.clock.time = this.firstMoment();
    this.next = requestAnimationFrame(() => this.frame());
  }

  get map() {
    return this.maps[this.index];
  }

  /** From where to where the timeline reaches. */
  get bounds() {
    const start = Math.min(0, this.map.start - 1000);
    const song = this.clock.song && Number.isFinite(this.clock.song.duration) ? this.clock.song.duration * 1000 : 0;
    return { start, end: Math.max(this.map.end + 1500, song, start + 1000) };
  }

  firstMoment() {
    return Math.max(this.map.start - 1500, Math.min(0, this.map.start - 1500));
  }

  // -------------------------------------------------------------- its parts

  build() {
    const root = this.host.attachShadow({ mode: "open" });
    dress(root);
    this.root = element("section", { class: "preview", "aria-label": "Beatmap preview", onkeydown: (event) => this.key(event) });
    this.root.append(this.buildHead(), this.buildStage(), this.buildTimeline(), this.buildControls());
    this.root.append(this.buildHelp(), this.buildMarkers(), this.buildNews());
    root.append(this.root);
    this.painter = new Painter(new Surface(this.canvas));
    this.timeline = new Timeline(this.strip, this);
  }

  buildHead() {
    this.title = element("h2", { class: "title" });
    this.facts = element("p", { class: "facts" });
    this.stars = element("span", { class: "stars" });
    this.choice = element("select", { "aria-label": "Difficulty", onchange: () => this.show(this.choice.selectedIndex) });
    this.maps.forEach((map, i) => this.choice.append(element("option", { value: i }, `${MODES[map.mode]} · ${map.version}`)));
    this.choice.hidden = this.maps.length < 2;
    const theme = element("button", { "aria-label": "Light or dark", title: "Light or dark", onclick: () => this.turnTheme() }, icon("theme"));
    return element("header", { class: "head" }, element("div", { class: "names" }, this.title, this.facts), this.stars, this.choice, theme);
  }

  buildStage() {
    this.canvas = element("canvas", { role: "img" });
    this.hudLeft = element("span");
    this.hudRight = element("span");
    const hud = element("div", { class: "hud", "aria-hidden": "true" }, this.hudLeft, this.hudRight);
    this.startButton = element("button", { class: "start", "aria-label": "Play" }, icon("play"));
    const stage = element("div", { class: "stage", onclick: () => this.toggle() }, this.canvas, hud, this.startButton);
    return stage;
  }

  buildTimeline() {
    this.strip = element("canvas", {});
    this.slider = element(
      "div",
      { class: "timeline", role: "slider", tabindex: "0", "aria-label": "Position in the song", "aria-orientation": "horizontal" },
      this.strip,
    );
    return this.slider;
  }

  buildControls() {
    this.playButton = element("button", { class: "play", "aria-label": "Play", onclick: () => this.toggle() }, icon("play"));
    this.time = element("span", { class: "time" });
    const percent = (value) => `${Math.round(value)} %`;
    this.speed = dial("Speed", { min: 25, max: 150, step: 5, value: 100 }, percent, (value) => this.setSpeed(value / 100));
    this.songVolume = dial("Song", { min: 0, max: 100, step: 1, value: 70 }, percent, (value) => this.setSongVolume(value / 100));
    this.hitVolume = dial("Hits", { min: 0, max: 100, step: 1, value: 50 }, percent, (value) => (this.clicks.volume = value / 100));
    this.songVolume.box.hidden = true;
    this.scrollDial = dial("Scroll", { min: 1, max: 40, step: 1, value: SCROLL_SPEED }, String, (value) => (this.scroll = value));
    return element(
      "div",
      { class: "controls" },
      element("div", { class: "group" }, this.playButton, this.time),
      this.speed.box,
      this.songVolume.box,
      this.hitVolume.box,
      this.scrollDial.box,
      element("span", { class: "space" }),
      this.buildRange(),
      this.buildExtras(),
    );
  }

  buildRange() {
    this.rangeText = element("output", {});
    this.clearButton = element("button", { onclick: () => this.select(null) }, "Clear");
    this.loopButton = element(
      "button",
      { "aria-pressed": "false", "aria-label": "Repeat the range", title: "Repeat the range", onclick: () => this.turnLoop() },
      icon("loop"),
    );
    this.rangeBox = element("div", { class: "group", hidden: true }, this.rangeText, this.loopButton, this.clearButton);
    return this.rangeBox;
  }

  buildExtras() {
    this.helpButton = element("button", { "aria-expanded": "false", onclick: () => this.turnHelp() }, "Keys");
    const full = element("button", { "aria-label": "Full screen", title: "Full screen", onclick: () => this.turnFull() }, icon("full"));
    return element("div", { class: "group" }, this.helpButton, full);
  }

  buildHelp() {
    const rows = KEYS.flatMap(([key, does]) => [element("dt", {}, key), element("dd", {}, does)]);
    this.help = element("div", { class: "help", hidden: true }, element("dl", {}, ...rows));
    return this.help;
  }

  buildMarkers() {
    this.markerList = element("ol", { class: "markers", "aria-label": "Markers", hidden: true });
    return this.markerList;
  }

  buildNews() {
    this.news = element("p", { class: "unseen", "aria-live": "polite" });
    return this.news;
  }

  /** What the system wishes: dark or light, motion or not; a notebook's own theme comes first. */
  watch() {
    this.darkness = window.matchMedia("(prefers-color-scheme: light)");
    this.calmness = window.matchMedia("(prefers-reduced-motion: reduce)");
    this.heed = () => {
      this.setTheme(hostTheme() || (this.darkness.matches ? "light" : "dark"));
      this.painter.calm = this.calmness.matches;
    };
    this.darkness.addEventListener("change", this.heed);
    this.calmness.addEventListener("change", this.heed);
    this.themes = new MutationObserver(this.heed);
    this.themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-vscode-theme-kind"] });
    this.themes.observe(document.documentElement, { attributes: true, attributeFilter: ["theme"] });
    this.heed();
  }

  destroy() {
    cancelAnimationFrame(this.next);
    this.clock.pause();
    this.darkness.removeEventListener("change", this.heed);
    this.calmness.removeEventListener("change", this.heed);
    this.themes.disconnect();
    if (this.clicks.context) this.clicks.context.close();
    if (this.songUrl) URL.revokeObjectURL(this.songUrl);
  }

  // -------------------------------------------------------------- what can be asked of it

  /** Another difficulty, at the same moment. */
  show(index) {
    this.index = clamp(index, 0, this.maps.length - 1);
    const map = this.map;
    this.edition += 1;
    this.painter.sprites.clear();
    this.choice.selectedIndex = this.index;
    this.title.textContent = [map.artist, map.title].filter(Boolean).join(" – ") || "Untitled";
    this.title.title = this.title.textContent;
    this.facts.textContent = factsOf(map);
    this.stars.hidden = map.stars === null;
    if (map.stars !== null) {
      this.stars.textContent = `★ ${map.stars.toFixed(2)}`;
      this.stars.setAttribute("aria-label", `${map.stars.toFixed(2)} stars`);
      this.stars.style.background = starColour(map.stars);
      this.stars.style.color = map.stars < 6.5 ? "#111118" : "#ffd966";
    }
    this.scrollDial.box.hidden = map.mode !== 3;
    this.canvas.setAttribute("aria-label", `${MODES[map.mode]} playfield of ${map.version}`);
    if (this.callbacks.difficulty) this.callbacks.difficulty(this.index);
  }

  setMaps(maps) {
    this.maps = maps;
    this.choice.replaceChildren();
    maps.forEach((map, i) => this.choice.append(element("option", { value: i }, `${MODES[map.mode]} · ${map.version}`)));
    this.choice.hidden = maps.length < 2;
    this.show(Math.min(this.index, maps.length - 1));
  }

  setMarkers(markers) {
    this.markers = [...markers].sort((a, b) => a.time - b.time);
    this.edition += 1;
    this.markerList.replaceChildren();
    this.markerList.hidden = !markers.length;
    for (const marker of this.markers) {
      const dot = element("i", { "aria-hidden": "true" });
      dot.style.background = markerColour(marker);
      const words = element("span", {}, marker.text);
      const kind = element("span", { class: "unseen" }, marker.kind);
      const go = element("button", { onclick: () => this.seek(marker.time) }, dot, element("b", {}, clockText(marker.time)), kind, words);
      this.markerList.append(element("li", {}, go));
    }
  }

  /** A song, as a Blob or File. */
  setSong(blob) {
    if (this.songUrl) URL.revokeObjectURL(this.songUrl);
    this.songUrl = URL.createObjectURL(blob);
    const song = new Audio();
    song.preload = "auto";
    song.src = this.songUrl;
    song.volume = Number(this.songVolume.input.value) / 100;
    song.addEventListener("error", () => this.say("This browser cannot play the song."));
    song.addEventListener("loadedmetadata", () => {
      this.clock.useSong(song);
      this.clock.time = this.clock.time;
    });
    this.songVolume.box.hidden = false;
  }

  play() {
    if (this.clock.time >= this.bounds.end - 10) this.clock.time = this.firstMoment();
    this.clicks.wake();
    this.clicks.restart(this.clock.time);
    this.clock.play();
    this.reflectPlaying();
  }

  pause() {
    this.clock.pause();
    this.reflectPlaying();
  }

  toggle() {
    if (this.clock.playing) this.pause();
    else this.play();
  }

  seek(time) {
    this.clock.time = clamp(time, this.bounds.start, this.bounds.end);
    this.clicks.restart(this.clock.time);
  }

  setSpeed(rate) {
    this.clock.setRate(clamp(rate, 0.25, 1.5));
  }

  setSongVolume(volume) {
    if (this.clock.song) this.clock.song.volume = volume;
  }

  setTheme(name) {
    this.themeName = name;
    this.root.classList.toggle("light", name === "light");
    this.painter.useTheme(name);
  }

  turnTheme() {
    this.setTheme(this.themeName === "light" ? "dark" : "light");
  }

  turnHelp() {
    this.help.hidden = !this.help.hidden;
    this.helpButton.setAttribute("aria-expanded", String(!this.help.hidden));
  }

  turnLoop() {
    this.looping = !this.looping;
    this.loopButton.setAttribute("aria-pressed", String(this.looping));
  }

  turnFull() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (this.root.requestFullscreen) this.root.requestFullscreen().catch(() => this.say("Full screen is not allowed here."));
  }

  /** Choose a range of time, in any order; nothing clears it. */
  select(start, end, tell = true) {
    this.range = null;
    if (start !== null && start !== undefined && Math.abs(end - start) >= 1) {
      this.range = { start: Math.round(Math.min(start, end)), end: Math.round(Math.max(start, end)) };
    }
    this.rangeBox.hidden = !this.range;
    if (this.range) this.rangeText.textContent = `${clockText(this.range.start)} – ${clockText(this.range.end)}`;
    if (tell) this.tellRange();
  }

  tellRange() {
    const { range } = this;
    this.say(range ? `Range ${clockText(range.start)} to ${clockText(range.end)}` : "No range");
    if (this.callbacks.range) this.callbacks.range(range);
  }

  say(text) {
    this.news.textContent = text;
  }

  // -------------------------------------------------------------- keys

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typed = event.composedPath()[0];
    const arrows = event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End";
    if (arrows && typed.matches("input, select")) return;
    if (event.key === " " && typed.matches("button, select")) return;
    const act = this.acts(event)[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation(); // a notebook has keys of its own
    act();
  }

  acts(event) {
    const { time } = this.clock;
    const beat = rowAt(this.map.beats, time)[1];
    const step = event.shiftKey ? beat : 1000;
    const speed = Number(this.speed.input.value);
    const { range } = this;
    return {
      " ": () => this.toggle(),
      ArrowLeft: () => this.seek(time - step),
      ArrowRight: () => this.seek(time + step),
      Home: () => this.seek(this.firstMoment()),
      End: () => this.seek(this.bounds.end),
      ArrowUp: () => this.speed.set(speed + 5),
      ArrowDown: () => this.speed.set(speed - 5),
      "[": () => this.select(time, range && range.end > time ? range.end : this.bounds.end),
      "]": () => this.select(range && range.start < time ? range.start : this.bounds.start, time),
      Escape: () => this.select(null),
      l: () => this.turnLoop(),
      n: () => this.toMarker(1),
      p: () => this.toMarker(-1),
      m: () => this.hitVolume.set(this.clicks.volume > 0 ? 0 : 50),
      "+": () => this.scrollDial.set(this.scroll + 1),
      "=": () => this.scrollDial.set(this.scroll + 1),
      "-": () => this.scrollDial.set(this.scroll - 1),
      f: () => this.turnFull(),
    };
  }

  toMarker(step) {
    const { time } = this.clock;
    const ahead = step > 0 ? this.markers.filter((m) => m.time > time + 1) : this.markers.filter((m) => m.time < time - 1);
    const next = step > 0 ? ahead[0] : ahead[ahead.length - 1];
    if (!next) return;
    this.seek(next.time);
    this.say(`${clockText(next.time)} ${next.text}`);
  }

  // -------------------------------------------------------------- frames

  frame() {
    this.next = requestAnimationFrame(() => this.frame());
    if (!this.root.isConnected) return;
    this.clock.keepStep();
    this.turnBack();
    const { time, playing, rate } = this.clock;
    if (playing) this.clicks.plan(this.map, time, rate);
    this.draw(time);
  }

  /** At the end of a repeated range back to its beginning, at the end of all stop. */
  turnBack() {
    const { clock, range, bounds } = this;
    if (!clock.playing) return;
    if (range && this.looping && clock.time >= range.end) this.seek(range.start);
    if (clock.time >= bounds.end) {
      this.pause();
      clock.time = bounds.end;
    }
  }

  draw(time) {
    this.painter.paint(this.map, time, { scroll: this.scroll });
    this.timeline.paint(this.map, time, this.painter.theme);
    this.reflectTime(time);
    this.frames += 1;
  }

  reflectPlaying() {
    const { playing } = this.clock;
    this.startButton.hidden = true;
    this.playButton.replaceChildren(icon(playing ? "pause" : "play"));
    this.playButton.setAttribute("aria-label", playing ? "Pause" : "Play");
  }

  /** The time and what holds at it, in words; the slider hears of it four times a second. */
  reflectTime(time) {
    const { start, end } = this.bounds;
    write(this.time, `${clockText(time)} / ${clockText(end, false)}`);
    const [, beat] = rowAt(this.map.beats, time);
    const [, velocity] = rowAt(this.map.speeds, time);
    const kiai = spanAt(this.map.kiai, time) ? " · kiai" : "";
    write(this.hudLeft, `${Math.round(600000 / beat) / 10} BPM · ${velocity.toFixed(2)}×${kiai}`);
    write(this.hudRight, `${doneBy(this.map, time)} / ${this.map.objects.length}`);
    const quarter = Math.round(time / 250);
    if (quarter === this.quarter) return;
    this.quarter = quarter;
    this.slider.setAttribute("aria-valuemin", Math.round(start));
    this.slider.setAttribute("aria-valuemax", Math.round(end));
    this.slider.setAttribute("aria-valuenow", Math.round(time));
    this.slider.setAttribute("aria-valuetext", clockText(time, false));
  }
}

/** The theme of the notebook around: JupyterLab, VS Code and Colab say it each in their way; nothing elsewhere. */
function hostTheme() {
  const { jpThemeLight, vscodeThemeKind } = document.body.dataset;
  const said = jpThemeLight && (jpThemeLight === "true" ? "light" : "dark");
  return said || (vscodeThemeKind || document.documentElement.getAttribute("theme") || "").match(/light|dark/)?.[0];
}

/** Text into an element, when it is not there yet. */
function write(into, text) {
  if (into.textContent !== text) into.textContent = text;
}

/** How many objects have begun. */
function doneBy(map, time) {
  let low = 0;
  let high = map.objects.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (map.objects[middle].time <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}

function factsOf(map) {
  const { cs, ar, od, hp } = map.settings;
  const size = map.mode === 3 ? `${map.keys} keys` : `CS ${cs}`;
  const approach = map.mode === 0 || map.mode === 2 ? ` AR ${ar}` : "";
  const by = map.creator ? ` by ${map.creator}` : "";
  return `${MODES[map.mode]} · ${map.version}${by} · ${size}${approach} OD ${od} HP ${hp}`;
}

// ---------------------------------------------------------------- doors

const PART = 2 ** 20; // bytes of a song that a widget gets at a time

/** Ask the kernel for the song, a part at a time. */
function fetchSong(model, player) {
  const size = model.get("_song_size");
  const parts = [];
  const ask = () => model.send({ kind: "song", part: parts.length });
  const take = (message, buffers) => {
    if (message.kind !== "song" || message.part !== parts.length) return;
    parts.push(new Uint8Array(buffers[0].buffer || buffers[0], buffers[0].byteOffset || 0, buffers[0].byteLength));
    if (parts.length * PART < size) ask();
    else player.setSong(new Blob(parts, { type: model.get("_song_type") }));
  };
  model.on("msg:custom", take);
  if (size > 0) ask();
  return () => model.off("msg:custom", take);
}

/** The widget: keeps maps, markers, difficulty and range in step with Python. */
function render({ model, el }) {
  const host = element("div");
  el.append(host);
  const save = (values) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    model.save_changes();
  };
  const data = { maps: model.get("_maps"), markers: model.get("markers"), difficulty: model.get("difficulty") };
  const player = new Player(host, data, {
    range: (range) => save({ start_time: range && range.start, end_time: range && range.end }),
    difficulty: (index) => save({ difficulty: index }),
  });
  host.preview = player;
  const range = () => {
    const [start, end] = [model.get("start_time"), model.get("end_time")];
    player.select(start === null || end === null ? null : start, end, false);
  };
  const heard = {
    "change:_maps": () => player.setMaps(model.get("_maps")),
    "change:markers": () => player.setMarkers(model.get("markers")),
    "change:difficulty": () => player.index !== model.get("difficulty") && player.show(model.get("difficulty")),
    "change:start_time": range,
    "change:end_time": range,
    "msg:custom": (message) => message.kind === "seek" && player.seek(message.time),
  };
  for (const [name, act] of Object.entries(heard)) model.on(name, act);
  range();
  const leave = fetchSong(model, player);
  return () => {
    leave();
    for (const [name, act] of Object.entries(heard)) model.off(name, act);
    player.destroy();
  };
}

/** Bytes of base64, in pieces, so that a song of many MB needs no second text. */
function bytesOf(text) {
  const piece = PART; // a multiple of four
  const parts = [];
  for (let i = 0; i < text.length; i += piece) {
    const letters = atob(text.slice(i, i + piece));
    const bytes = new Uint8Array(letters.length);
    for (let k = 0; k < letters.length; k += 1) bytes[k] = letters.charCodeAt(k);
    parts.push(bytes);
  }
  return parts;
}

/** The page: data and song lie in it, as text that no browser runs. */
export function startPage() {
  const host = document.getElementById("preview");
  const data = JSON.parse(document.getElementById("preview-data").textContent);
  const player = new Player(host, data);
  host.preview = player;
  const song = document.getElementById("preview-song");
  if (song) player.setSong(new Blob(bytesOf(song.textContent.trim()), { type: song.dataset.type }));
  document.addEventListener("keydown", (event) => event.target === document.body && player.key(event));
}

export default { render };

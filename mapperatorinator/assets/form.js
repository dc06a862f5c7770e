// The form as an anywidget module: it draws what Python says and sends back what is typed. No build step, nothing from elsewhere.

const CHUNK = 512 * 1024; // bytes of an upload in one message; servers refuse more than 10 MB

const PICTURES = {
  0: '<circle cx="24" cy="20" r="11"/><circle cx="24" cy="20" r="6.5" class="fill"/><path d="M38 30q10 6 18-4" class="thick"/>',
  1: '<path d="M4 20h56" class="faint"/><circle cx="16" cy="20" r="9" class="fill"/><circle cx="36" cy="20" r="6"/><circle cx="52" cy="20" r="6"/>',
  2: '<path d="M16 33h32"/><path d="M20 33q12 7 24 0" class="thick"/><circle cx="32" cy="12" r="5" class="fill"/><circle cx="46" cy="20" r="4"/><circle cx="17" cy="8" r="4"/>',
  3: '<path d="M14 4v34M26 4v34M38 4v34M50 4v34" class="faint"/><rect x="15.5" y="24" width="9" height="5" class="fill"/><rect x="27.5" y="8" width="9" height="16" class="fill"/><rect x="39.5" y="14" width="9" height="5" class="fill"/>',
};

let count = 0;
const newId = () => `mp-${Date.now().toString(36)}-${count++}`;

function h(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "html") node.innerHTML = value;
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const clock = (ms) => `${Math.floor(ms / 60000)}:${String(Math.floor((ms / 1000) % 60)).padStart(2, "0")}`;
const spoken = (s) => (s < 90 ? `${Math.max(1, Math.round(s))} s` : `${Math.round(s / 60)} min`);
const ICONS = { 0: "osu!", 1: "taiko", 2: "catch", 3: "mania" };

function visitor() {
  // who this browser is, for the web app: known to itself only, and the same after a reload
  try {
    const key = "mapperatorinator-visitor";
    const id = localStorage.getItem(key) || Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
    localStorage.setItem(key, id);
    return id;
  } catch {
    return newId(); // a browser that remembers nothing
  }
}

class Files {
  // uploads in pieces, each sent when the last was received; downloads put together from pieces
  constructor(model) {
    this.model = model;
    this.sending = new Map();
    this.coming = new Map();
  }
  async send(what, file, told) {
    const key = newId();
    this.sending.set(key, { what, file, told });
    told(0, "");
    await this.next(key, 0);
  }
  async next(key, at) {
    const { what, file } = this.sending.get(key);
    const piece = await file.slice(at, at + CHUNK).arrayBuffer();
    this.model.send({ kind: "chunk", key, what, name: file.name, size: file.size, at }, undefined, [piece]);
  }
  heard(message, buffers) {
    const task = this.sending.get(message.key);
    if (message.kind === "got" && task) {
      task.told(message.at / Math.max(task.file.size, 1), "");
      this.next(message.key, message.at);
    } else if ((message.kind === "kept" || message.kind === "refused") && task) {
      this.sending.delete(message.key);
      task.told(1, message.sentence || "");
    } else if (message.kind === "piece") {
      const parts = this.coming.get(message.key) || [];
      parts[message.part] = buffers[0];
      this.coming.set(message.key, parts);
      if (parts.filter(Boolean).length === message.of) {
        this.coming.delete(message.key);
        return new Blob(parts, { type: message.type });
      }
    }
    return null;
  }
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

class View {
  constructor(model, el) {
    this.model = model;
    this.el = el;
    this.files = new Files(model);
    this.inputs = new Map(); // name -> {set, box, error, reason}
    this.lines = model.get("lines");
    this.byName = Object.fromEntries(this.lines.map((line) => [line.name, line]));
    this.range = null; // ms, marked on the song
    this.shown = new Map(); // id of a run -> what was fetched of it
    this.off = [];
  }

  say(kind, more = {}, buffers) {
    this.model.send({ kind, ...more }, undefined, buffers);
  }
  type(name, value) {
    this.say("type", { name, value });
  }
  get wishes() {
    return this.model.get("wishes");
  }
  value(name) {
    const { said, used } = this.wishes;
    return name in said ? said[name] : this.byName[name].kind === "number" && used[name] ? Number(used[name][0]) : null;
  }
  mode() {
    const { said, modes } = this.wishes;
    return said.gamemode ?? modes.now;
  }

  // --- the parts

  draw() {
    const only = this.model.get("only");
    const parts = only === "mod" ? [this.map(), this.history()] : only === "timing" ? [this.song(), this.beats()] : [this.song(), this.kinds(), this.stars(), this.style(), this.start(), this.more(), this.planner(), this.shelf(), this.history()];
    this.notice = h("div", { class: "mp-notice", role: "alert" });
    this.el.replaceChildren(h("div", { class: "mp" }, this.notice, ...parts));
    this.listen("wishes", () => this.showWishes());
    if (only !== "mod") this.listen("song", () => this.showSong());
    this.listen("notice", () => this.showNotice());
    if (only !== "timing") this.listen("runs", () => this.showRuns());
    if (only === "") {
      this.listen("presets", () => this.showPresets());
      this.listen("tags", () => this.showTags());
    }
    const heard = (message, buffers) => this.heard(message, buffers);
    this.model.on("msg:custom", heard);
    this.off.push(() => this.model.off("msg:custom", heard));
    this.say("hello", { visitor: visitor() });
  }
  listen(trait, show) {
    this.model.on(`change:${trait}`, show);
    this.off.push(() => this.model.off(`change:${trait}`, show));
    show();
  }

  card(title, ...children) {
    const id = newId();
    return h("section", { class: "mp-card", "aria-labelledby": id }, h("h2", { id }, title), ...children);
  }

  song() {
    const id = newId();
    this.file = h("input", { type: "file", id, class: "mp-file", accept: "audio/*,video/*,.mp3,.ogg,.oga,.opus,.flac,.wav,.m4a,.aac,.wma", "aria-label": "Choose a song", onchange: (e) => e.target.files[0] && this.upload("audio_path", e.target.files[0]) });
    this.canvas = h("canvas", { class: "mp-wave", tabindex: "0", role: "img", "aria-label": "The song as a waveform; drag to mark a range" });
    this.facts = h("div", { class: "mp-facts" });
    this.player = h("audio", { controls: true, class: "mp-player", "aria-label": "The song" });
    this.player.addEventListener("timeupdate", () => this.paintWave());
    this.hearButton = h("button", { type: "button", class: "mp-quiet", onclick: () => this.say("hear") }, "Listen to the song");
    this.rangeText = h("span", { class: "mp-faint" });
    this.rangeClear = h("button", { type: "button", class: "mp-quiet", onclick: () => this.mark(null) }, "Whole song");
    this.uploading = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "Upload" });
    this.uploadText = h("span", { class: "mp-faint", role: "status" });
    const drop = h("div", { class: "mp-drop" }, this.file, h("label", { for: id, class: "mp-button" }, "Choose a song"), h("span", { class: "mp-faint" }, "or drop it here: mp3, ogg, flac, wav, m4a, a video …"), this.uploading, this.uploadText);
    drop.addEventListener("dragover", (e) => (e.preventDefault(), drop.classList.add("over")));
    drop.addEventListener("dragleave", () => drop.classList.remove("over"));
    drop.addEventListener("drop", (e) => {
      e.preventDefault();
      drop.classList.remove("over");
      if (e.dataTransfer.files[0]) this.upload("audio_path", e.dataTransfer.files[0]);
    });
    this.dragRange();
    this.songBody = h("div", { class: "mp-song", hidden: true }, this.facts, this.canvas, h("div", { class: "mp-row" }, this.player, this.hearButton, this.rangeText, this.rangeClear));
    this.player.hidden = true;
    const path = this.model.get("about").paths ? [this.field(this.byName.audio_path)] : [];
    new ResizeObserver(() => this.paintWave()).observe(this.canvas);
    return this.card("Song", drop, ...path, this.songBody);
  }

  kinds() {
    this.modeButtons = this.byName.gamemode.choices.map(([value, name]) =>
      h("button", { type: "button", class: "mp-mode", role: "radio", "data-mode": value, onclick: () => this.type("gamemode", value) }, h("span", { html: `<svg viewBox="0 0 64 40" aria-hidden="true">${PICTURES[value]}</svg>` }), h("span", {}, name)),
    );
    const group = h("div", { class: "mp-modes", role: "radiogroup", "aria-label": "Mode" }, this.modeButtons);
    group.addEventListener("keydown", (e) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
      if (!step) return;
      e.preventDefault();
      const open = this.modeButtons.filter((b) => !b.disabled);
      const next = open[(open.indexOf(document.activeElement) + step + open.length) % open.length];
      next.focus();
      next.click();
    });
    this.modeReason = h("p", { class: "mp-reason" });
    return this.card("Mode", group, this.modeReason);
  }

  stars() {
    this.starBox = h("div", {});
    this.starScale = h("p", { class: "mp-faint" });
    this.starError = h("p", { class: "mp-error", role: "alert" });
    return this.card("Difficulty", this.starBox, this.starScale, this.starError);
  }

  slider(stars, change, label, drop) {
    // one coloured slider with the name that players have for it
    const about = this.model.get("about");
    const end = 9;
    const stops = Object.entries(about.spectrum).map(([s, c]) => `${c} ${(100 * s) / end}%`);
    const name = h("span", { class: "mp-level" });
    const number = h("input", { type: "number", min: 0, max: 12, step: 0.1, class: "mp-short", "aria-label": `${label} in stars` });
    const slide = h("input", { type: "range", min: 0, max: end, step: 0.1, class: "mp-stars", "aria-label": label, style: `--stops: linear-gradient(90deg, ${stops.join(",")})` });
    const show = (value) => {
      const levels = about.levels[this.mode()];
      const level = levels.find((l) => value < l.to) || levels[levels.length - 1];
      name.textContent = level.name;
      name.style.background = colour(about.spectrum, value);
      name.style.color = value >= 5.5 ? "#fff" : "#16161d";
      slide.setAttribute("aria-valuetext", `${value} stars, ${level.name}`);
      slide.value = value;
      if (document.activeElement !== number) number.value = value;
    };
    slide.addEventListener("input", () => show(Number(slide.value)));
    slide.addEventListener("change", () => change(Number(slide.value)));
    number.addEventListener("change", () => change(number.value === "" ? null : Number(number.value)));
    show(stars);
    return h("div", { class: "mp-row mp-starrow" }, slide, number, h("span", { "aria-hidden": "true" }, "★"), name, drop ? h("button", { type: "button", class: "mp-quiet", "aria-label": `Leave out ${stars} stars`, onclick: drop }, "×") : null);
  }

  showStars() {
    const { said, used, stars } = this.wishes;
    this.starScale.textContent = stars;
    const held = this.starBox.contains(document.activeElement) && document.activeElement.type === "range" ? document.activeElement.getAttribute("aria-label") : "";
    const spread = said.difficulties;
    const many = Array.isArray(spread) && spread.length > 0;
    const tell = (list) => this.type("difficulties", [...list].sort((a, b) => a - b));
    const kind = h("div", { class: "mp-row", role: "radiogroup", "aria-label": "How many difficulties" }, ["One map", "A spread, in one .osz"].map((text, i) => h("label", { class: "mp-choice" }, h("input", { type: "radio", name: this.radioName || (this.radioName = newId()), checked: many === (i === 1), onchange: () => (i ? tell([1.8, 2.5, 3.5, 4.8]) : this.say("forget", { names: ["difficulties"] })) }), text)));
    const asked = this.value("difficulty");
    const rows = many
      ? [...spread.map((s, i) => this.slider(s, (v) => tell(spread.map((x, j) => (j === i ? v : x)).filter((x) => x !== null)), `Difficulty ${i + 1}`, () => tell(spread.filter((_, j) => j !== i)))), h("button", { type: "button", class: "mp-quiet", onclick: () => tell([...spread, Math.min(Math.max(...spread) + 1, 9)]) }, "+ one more")]
      : said.difficulty === null
        ? []
        : [this.slider(asked ?? 4, (v) => this.type("difficulty", v === null ? "" : v), "Difficulty")];
    const free = many ? null : h("label", { class: "mp-choice" }, h("input", { type: "checkbox", checked: said.difficulty === null, onchange: (e) => (e.target.checked ? this.say("null", { name: "difficulty" }) : this.say("forget", { names: ["difficulty"] })) }), "let the model choose");
    const from = !many && used.difficulty && used.difficulty[1] ? h("span", { class: "mp-faint" }, used.difficulty[1]) : null;
    this.starBox.replaceChildren(kind, ...rows, h("div", { class: "mp-row" }, free, from));
    if (held) this.starBox.querySelector(`[aria-label="${held}"]`)?.focus();
  }

  style() {
    const mapper = this.search("Mapper", "a name, or an osu! user id", (text) => (/^\d+$/.test(text) ? this.type("mapper_id", Number(text)) : this.say("mapper", { text })), () => this.say("forget", { names: ["mapper_id"] }));
    this.mapper = mapper;
    this.tagSearch = h("input", { type: "search", id: newId(), placeholder: "find a tag", oninput: () => this.showTags() });
    this.tagList = h("ul", { class: "mp-tags", "aria-label": "Tags" });
    this.tagChips = h("div", { class: "mp-chips", "aria-live": "polite" });
    this.tagBox = h("details", { class: "mp-tagbox" }, h("summary", {}, "All tags"), this.tagList);
    this.tagReason = h("p", { class: "mp-reason" });
    const shownHere = ["audio_path", "gamemode", "difficulty", "difficulties", "mapper_id", "descriptors", "negative_descriptors"];
    const rest = this.lines.filter((line) => line.rank === 0 && !shownHere.includes(line.name)).map((line) => this.field(line));
    return this.card("Style", h("div", { class: "mp-two" }, mapper.box, ...rest), h("div", {}, h("label", { for: this.tagSearch.id }, "Tags"), this.tagSearch, this.tagChips, this.tagBox, this.tagReason));
  }

  search(label, hint, ask, clear) {
    const id = newId();
    const list = h("ul", { class: "mp-found", role: "listbox", hidden: true, id: `${id}-list` });
    const input = h("input", { type: "text", id, placeholder: hint, autocomplete: "off", role: "combobox", "aria-expanded": "false", "aria-controls": `${id}-list`, oninput: () => (input.value.trim() ? ask(input.value.trim()) : clear()) });
    const reason = h("p", { class: "mp-reason" });
    const error = h("p", { class: "mp-error", role: "alert" });
    const box = h("div", { class: "mp-field" }, h("label", { for: id }, label), input, list, reason, error);
    return { box, input, list, reason, error };
  }

  showMappers(found, text) {
    const { list, input } = this.mapper;
    if (text !== input.value.trim()) return; // typed on meanwhile
    const pick = (m) => {
      input.value = m.name;
      list.hidden = true;
      input.setAttribute("aria-expanded", "false");
      this.type("mapper_id", m.id);
    };
    list.replaceChildren(...found.map((m) => h("li", { role: "option", tabindex: "0", onclick: () => pick(m), onkeydown: (e) => e.key === "Enter" && pick(m) }, `${m.name} `, h("span", { class: "mp-faint" }, m.id))));
    if (!found.length) list.append(h("li", { class: "mp-faint" }, "The model knows nobody of that name."));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
  }

  start() {
    const takes = h("select", { id: newId(), "aria-label": "How many versions" }, [1, 2, 3, 4, 6].map((n) => h("option", { value: n }, n === 1 ? "one version" : `${n} versions, side by side`)));
    this.go = h("button", { type: "button", class: "mp-go", onclick: () => this.say("go", { takes: Number(takes.value) }) }, "Generate");
    this.goWhy = h("span", { class: "mp-faint", role: "status" });
    const ban = h("p", { class: "mp-faint mp-ban" }, this.model.get("about").ban);
    return h("div", {}, h("div", { class: "mp-start" }, this.go, takes, this.goWhy), ban);
  }

  more() {
    const find = h("input", { type: "search", placeholder: "find a setting", "aria-label": "Find a setting" });
    const shown = this.lines.filter((line) => line.rank > 0 && !this.model.get("about").hide.includes(line.name));
    const groups = [...new Set(shown.map((line) => line.group))];
    const boxes = groups.map((group) => {
      const of = (rank) => shown.filter((line) => line.group === group && line.rank === rank).map((line) => this.field(line));
      const deep = of(2);
      return h("fieldset", {}, h("legend", {}, group), h("div", { class: "mp-grid" }, of(1)), deep.length ? h("details", {}, h("summary", {}, "for those who know how models write"), h("div", { class: "mp-grid" }, deep)) : null);
    });
    find.addEventListener("input", () => {
      const word = find.value.trim().toLowerCase();
      for (const box of boxes) {
        let any = false;
        for (const field of box.querySelectorAll(".mp-field")) {
          field.hidden = word !== "" && !field.dataset.words.includes(word);
          any ||= !field.hidden;
        }
        box.hidden = !any;
        if (word) box.querySelectorAll("details").forEach((d) => (d.open = true));
      }
    });
    const reset = h("button", { type: "button", class: "mp-quiet", onclick: () => this.say("forget", { names: [] }) }, "Leave everything open");
    return h("details", { class: "mp-card mp-more" }, h("summary", {}, "More"), h("div", { class: "mp-row" }, find, reset), ...boxes);
  }

  field(line) {
    const id = newId();
    const send = (value) => this.type(line.name, value);
    const aid = `${id}-help`;
    const common = { id, "aria-describedby": aid };
    const empty = () => h("option", { value: "" }, "");
    let input, set;
    if (line.kind === "flag" || line.kind === "choice") {
      const choices = line.kind === "flag" ? [["true", "yes"], ["false", "no"]] : line.choices;
      input = h("select", { ...common, onchange: () => send(input.value === "" ? "" : input.value) }, empty(), choices.map(([value, name]) => h("option", { value: String(value) }, name)));
      set = (value, open) => {
        input.options[0].textContent = open;
        input.value = value === null ? "" : String(value);
      };
    } else if (line.kind === "choices") {
      const picks = line.choices.map(([value, name]) => {
        const box = h("input", { type: "checkbox", value, onchange: () => send(picks.filter((p) => p.checked).map((p) => p.value)) });
        box.words = name;
        return box;
      });
      input = h("div", { ...common, role: "group", "aria-label": line.label, class: "mp-picks" }, picks.map((p) => h("label", { class: "mp-choice" }, p, p.words)));
      set = (value) => picks.forEach((p) => (p.checked = (value || []).includes(p.value)));
      input.disable = (off) => picks.forEach((p) => (p.disabled = off));
    } else if (line.kind === "place" && this.uploads(line.name)) {
      const file = h("input", { type: "file", ...common, accept: line.name === "background" ? "image/*" : ".osu", onchange: () => file.files[0] && this.upload(line.name, file.files[0]) });
      const said = h("span", { class: "mp-faint" });
      const clear = h("button", { type: "button", class: "mp-quiet", "aria-label": `No ${line.label}`, onclick: () => (send(""), (file.value = "")) }, "×");
      input = h("div", { class: "mp-row" }, file, said, clear);
      const path = this.model.get("about").paths ? h("input", { type: "text", "aria-label": `Path of the ${line.label}`, onchange: () => send(path.value) }) : null;
      if (path) input.append(path);
      set = (value) => {
        said.textContent = value ? value.split(/[\\/]/).pop() : "";
        clear.hidden = !value;
        if (path && document.activeElement !== path) path.value = value || "";
      };
      input.disable = (off) => (file.disabled = off);
    } else {
      const hints = line.kind === "hint" ? h("datalist", { id: `${id}-hints` }, line.choices.map((c) => h("option", { value: c }))) : null;
      const number = line.kind === "number" ? { type: "number", step: "any", min: line.low, max: line.high } : { type: "text", list: hints ? `${id}-hints` : null };
      input = h("input", { ...common, ...number, autocomplete: "off", onchange: () => send(input.value) });
      input.hints = hints;
      set = (value, open) => {
        input.placeholder = open;
        const text = value === null ? "" : Array.isArray(value) ? value.map((v) => (String(v).includes(",") ? `"${v}"` : v)).join(", ") : String(value);
        if (document.activeElement !== input || this.wishes.wrong[line.name] === undefined) input.value = text;
      };
    }
    const clear = h("button", { type: "button", class: "mp-clear", "aria-label": `Leave ${line.label} open`, title: "leave it open", onclick: () => this.say("forget", { names: [line.name] }) }, "↺");
    const unit = line.unit && line.unit !== line.label ? h("span", { class: "mp-unit" }, line.unit) : null;
    const from = h("span", { class: "mp-from" });
    const reason = h("p", { class: "mp-reason" });
    const error = h("p", { class: "mp-error", role: "alert" });
    const help = h("p", { class: "mp-help", id: aid }, line.help, line.range && line.high !== null && line.high < 1e6 && line.kind === "number" ? h("span", { class: "mp-faint" }, ` (${line.range})`) : null);
    const head = h("div", { class: "mp-head" }, h("label", line.kind === "choices" ? {} : { for: id }, line.label), unit, from, clear);
    const box = h("div", { class: "mp-field", "data-name": line.name, "data-words": `${line.label} ${line.name} ${line.help}`.toLowerCase() }, head, input, input.hints, help, reason, error);
    this.inputs.set(line.name, { line, input, set, box, clear, from, reason, error });
    return box;
  }
  uploads(name) {
    return ["beatmap_path", "background"].includes(name);
  }

  shelf() {
    this.presetList = h("select", { "aria-label": "Presets" });
    const name = h("input", { type: "text", placeholder: "a name", "aria-label": "Name of a new preset" });
    this.command = h("textarea", { rows: 3, spellcheck: "false", "aria-label": "The command line that does the same; paste another to read it in" });
    const act = (text, click) => h("button", { type: "button", class: "mp-quiet", onclick: click }, text);
    const json = () => save(new Blob([JSON.stringify(this.wishes.said, null, 1)], { type: "application/json" }), "mapperatorinator-preset.json");
    return h(
      "details",
      { class: "mp-card" },
      h("summary", {}, "Presets and the command line"),
      h("div", { class: "mp-row" }, this.presetList, act("Use", () => this.presetList.value && this.say("load_preset", { name: this.presetList.value })), act("Delete", () => this.presetList.value && this.say("drop_preset", { name: this.presetList.value })), name, act("Save these wishes", () => (this.say("save_preset", { name: name.value }), (name.value = "")))),
      this.command,
      h("div", { class: "mp-row" }, act("Copy", () => navigator.clipboard?.writeText(this.command.value)), act("Read what stands here", () => this.say("paste", { text: this.command.value })), act("Save as a file", json)),
    );
  }

  planner() {
    this.planText = h("textarea", { rows: 8, spellcheck: "false", class: "mp-plan", "aria-label": "The plan of the song: a line for each section" });
    const act = (text, click) => h("button", { type: "button", class: "mp-quiet", onclick: click }, text);
    return h(
      "details",
      { class: "mp-card" },
      h("summary", {}, "Plan of the song"),
      h("p", { class: "mp-help" }, "A line for each section: how much harder and busier, kiai, silence, which line it repeats. Propose one from the song, change it, and use it."),
      this.planText,
      h("div", { class: "mp-row" }, act("Propose", () => this.say("propose_plan")), act("Use this plan", () => this.say("use_plan", { text: this.planText.value })), act("No plan", () => this.say("forget", { names: ["plan"] }))),
    );
  }

  history() {
    this.active = h("div", { class: "mp-active", "aria-live": "polite" });
    this.past = h("div", { class: "mp-past" });
    return h("div", {}, this.active, h("details", { class: "mp-card", open: true }, h("summary", {}, this.model.get("only") === "mod" ? "Reports" : "Maps made"), this.past));
  }

  map() {
    // what MaiMod looks over: archives, or maps and their song
    const pick = (what, accept, label, many = false) => {
      const file = h("input", { type: "file", id: newId(), accept, multiple: many, onchange: () => this.uploadAll(what, [...file.files]) });
      return h("div", { class: "mp-field" }, h("label", { for: file.id }, label), file);
    };
    this.uploading = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "Upload" });
    this.uploadText = h("span", { class: "mp-faint", role: "status" });
    this.chosen = h("p", { class: "mp-faint" });
    const go = h("button", { type: "button", class: "mp-go", onclick: () => this.say("go", { takes: 1 }) }, "Look it over");
    return this.card("Map", h("p", { class: "mp-help" }, "MaiMod reads a map as the model would write it, and says what surprises it. It changes nothing."), h("div", { class: "mp-two" }, pick("beatmap_path", ".osz,.osu", "Sets (.osz) or difficulties (.osu), one or several", true), pick("audio_path", "audio/*", "Their song, where they come without")), h("div", { class: "mp-row" }, this.uploading, this.uploadText), this.chosen, h("div", { class: "mp-start" }, go));
  }

  beats() {
    this.beatTable = h("div", { class: "mp-beats" });
    const act = (text, kind, more = {}) => h("button", { type: "button", class: "mp-button", onclick: () => this.say(kind, more) }, text);
    this.clickPlayer = h("audio", { controls: true, hidden: true, "aria-label": "The song with a click on every beat" });
    return this.card("Beats", this.beatTable, h("div", { class: "mp-row" }, act("Listen with clicks", "clicks"), act("Save the timing as .osu", "timing_file"), this.clickPlayer));
  }

  // --- what changes

  showNotice() {
    const { text, style, trace } = this.model.get("notice");
    this.notice.className = `mp-notice ${style}`;
    this.notice.hidden = !text;
    this.notice.replaceChildren(h("div", { class: "mp-lines" }, text || ""), trace ? h("details", {}, h("summary", {}, "Details"), h("pre", {}, trace)) : "");
  }

  showWishes() {
    const { said, used, off, modes, wrong, command } = this.wishes;
    for (const [name, field] of this.inputs) {
      const [value, from] = used[name] || ["", ""];
      const open = [value || field.line.open, from && value ? from : ""].filter(Boolean).join(" · ");
      field.set(name in said ? said[name] : null, open);
      field.box.classList.toggle("said", name in said);
      field.clear.hidden = !(name in said);
      field.from.textContent = name in said ? "" : from;
      field.reason.textContent = off[name] || "";
      field.error.textContent = wrong[name] || "";
      const shut = Boolean(off[name]) && !(name in said);
      field.input.disable ? field.input.disable(shut) : (field.input.disabled = shut);
      field.input.setAttribute?.("aria-invalid", wrong[name] ? "true" : "false");
    }
    if (this.chosen) this.chosen.textContent = [...this.wishes.maps, said.audio_path].filter(Boolean).map((path) => path.split(/[\\/]/).pop()).join(", ");
    if (!this.modeButtons) return;
    const mode = this.mode();
    this.modeReason.textContent = Object.values(modes.off)[0] || "";
    for (const button of this.modeButtons) {
      const value = Number(button.dataset.mode);
      button.setAttribute("aria-checked", String(value === mode));
      button.tabIndex = value === mode ? 0 : -1;
      button.disabled = value in modes.off;
      button.title = modes.off[value] || "";
    }
    this.starError.textContent = [wrong.difficulty, wrong.difficulties].filter(Boolean).join(" ");
    this.showStars();
    this.mapper.reason.textContent = off.mapper_id || "";
    this.mapper.error.textContent = wrong.mapper_id || "";
    this.mapper.input.disabled = Boolean(off.mapper_id) && !("mapper_id" in said);
    if (document.activeElement !== this.mapper.input) this.mapper.input.value = modes.mapper || (said.mapper_id ?? "");
    this.tagReason.textContent = off.descriptors || "";
    this.tagSearch.disabled = Boolean(off.descriptors);
    this.tagBox.hidden = Boolean(off.descriptors);
    if (document.activeElement !== this.command) this.command.value = command;
    const first = Object.values(wrong)[0];
    this.go.disabled = false;
    this.goWhy.textContent = first ? `Not yet: ${first.split("\n")[0]}` : "";
    this.range = said.start_time !== undefined || said.end_time !== undefined ? [said.start_time ?? 0, said.end_time ?? null] : null;
    this.showTags();
    this.paintWave();
  }

  showTags() {
    if (!this.tagList) return;
    const tags = this.model.get("tags");
    const { said, wrong } = this.wishes;
    const word = this.tagSearch.value.trim().toLowerCase();
    const wanted = said.descriptors || [];
    const avoided = said.negative_descriptors || [];
    const tell = (name, list) => this.type(name, list.length ? list : "");
    const turn = (tag, name, list) => tell(name, list.includes(tag) ? list.filter((t) => t !== tag) : [...list, tag]);
    const found = tags.filter((t) => !word || `${t.name} ${t.about} ${t.group}`.toLowerCase().includes(word));
    const item = (t) =>
      h("li", {}, h("button", { type: "button", class: "mp-tag", "aria-pressed": String(wanted.includes(t.name)), onclick: () => turn(t.name, "descriptors", wanted) }, h("b", {}, t.name.split("/").pop()), ` ${t.about}`), h("button", { type: "button", class: "mp-not", "aria-label": `Avoid ${t.name}`, title: "avoid it", "aria-pressed": String(avoided.includes(t.name)), onclick: () => turn(t.name, "negative_descriptors", avoided) }, "−"));
    this.tagList.replaceChildren(...found.slice(0, 200).map(item));
    if (word && found.length) this.tagBox.open = true;
    const chip = (t, name, list, sign) => h("button", { type: "button", class: `mp-chip ${sign ? "not" : ""}`, "aria-label": `Leave out ${t}`, onclick: () => turn(t, name, list) }, `${sign}${t.split("/").pop()} ×`);
    const bad = [wrong.descriptors, wrong.negative_descriptors].filter(Boolean).join(" ");
    this.tagChips.replaceChildren(...wanted.map((t) => chip(t, "descriptors", wanted, "")), ...avoided.map((t) => chip(t, "negative_descriptors", avoided, "− ")), bad ? h("p", { class: "mp-error" }, bad) : "");
  }

  showPresets() {
    const names = this.model.get("presets");
    this.presetList.replaceChildren(h("option", { value: "" }, names.length ? "choose one" : "none yet"), ...names.map((n) => h("option", { value: n }, n)));
  }

  uploadAll(what, files) {
    // one after the other, instead of those that were chosen before; none after one that is refused
    if (files.length) this.say("forget", { names: [what] });
    const next = (i) => i < files.length && this.upload(what, files[i], () => next(i + 1));
    next(0);
  }
  upload(what, file, then) {
    const limit = this.model.get("about").upload_limit;
    this.say("quiet");
    if (limit && file.size > limit) {
      this.uploadText.textContent = `${file.name} has ${Math.ceil(file.size / 1e6)} MB, and ${Math.floor(limit / 1e6)} MB is the most; give a smaller file.`;
      return;
    }
    if (what === "audio_path" && this.player) {
      this.player.src = URL.createObjectURL(file);
      this.ownSong = file.name;
    }
    this.files.send(what, file, (share, sentence) => {
      this.uploading.hidden = share >= 1;
      this.uploading.value = share;
      this.uploadText.textContent = sentence || (share < 1 ? `${file.name}: ${Math.round(100 * share)} %` : "");
      if (share >= 1 && !sentence) then?.();
    });
  }

  showSong() {
    const song = this.model.get("song");
    this.songBody.hidden = !song.path;
    if (!song.path) return;
    if (this.songPath !== song.path) {
      if (!(this.ownSong && song.path.endsWith(this.ownSong))) this.player.removeAttribute("src");
      this.songPath = song.path;
    }
    this.player.hidden = !this.player.getAttribute("src");
    this.hearButton.hidden = !this.player.hidden;
    const chips = [song.seconds ? clock(song.seconds * 1000) : "", song.bpm ? `${song.bpm} BPM` : song.busy ? "listening for the beat …" : "", song.bpm ? `first beat at ${(song.offset / 1000).toFixed(3)} s` : "", song.sure ? `sure to ${song.sure} %` : ""].filter(Boolean);
    this.facts.replaceChildren(h("div", { class: "mp-title" }, song.title || song.name), h("div", { class: "mp-faint" }, song.artist || ""), h("div", { class: "mp-chips" }, chips.map((c) => h("span", { class: "mp-chip plain" }, c))), song.sentence ? h("p", { class: "mp-error", role: "alert" }, song.sentence) : "");
    if (this.beatTable) this.beatTable.replaceChildren(song.lines?.length ? table(["from", "BPM", "beats per bar"], song.lines) : h("p", { class: "mp-faint" }, song.busy ? "Listening …" : "Choose a song, and its beats are found."));
    this.paintWave();
  }

  paintWave() {
    const { peaks, seconds } = this.model.get("song");
    const width = this.canvas.clientWidth;
    if (!width || !peaks?.length) return;
    const scale = window.devicePixelRatio || 1;
    const high = 84;
    this.canvas.width = width * scale;
    this.canvas.height = high * scale;
    const pen = this.canvas.getContext("2d");
    pen.scale(scale, scale);
    const style = getComputedStyle(this.canvas);
    const ms = seconds * 1000;
    const [from, to] = this.range ? [this.range[0] ?? 0, this.range[1] ?? ms] : [0, ms];
    for (let x = 0; x < width; x++) {
      const peak = peaks[Math.floor((x / width) * peaks.length)] / 100;
      const at = (x / width) * ms;
      pen.fillStyle = at >= from && at <= to ? style.getPropertyValue("--accent") : style.getPropertyValue("--soft");
      pen.fillRect(x, high / 2 - (peak * high) / 2, 1, Math.max(1, peak * high));
    }
    if (this.player.currentTime > 0) {
      pen.fillStyle = style.getPropertyValue("--ink");
      pen.fillRect((this.player.currentTime / seconds) * width, 0, 1.5, high);
    }
    this.rangeText.textContent = this.range ? `from ${clock(from)} to ${clock(to)}` : "drag on the waveform to mark a part";
    this.rangeClear.hidden = !this.range;
  }
  mark(range) {
    this.say("range", { start: range && Math.round(range[0]), end: range && Math.round(range[1]) });
  }
  dragRange() {
    let begin = null;
    const at = (e) => {
      const box = this.canvas.getBoundingClientRect();
      return (Math.min(Math.max(e.clientX - box.left, 0), box.width) / box.width) * this.model.get("song").seconds * 1000;
    };
    this.canvas.addEventListener("pointerdown", (e) => ((begin = at(e)), this.canvas.setPointerCapture(e.pointerId)));
    this.canvas.addEventListener("pointermove", (e) => {
      if (begin === null) return;
      this.range = [Math.min(begin, at(e)), Math.max(begin, at(e))];
      this.paintWave();
    });
    this.canvas.addEventListener("pointerup", (e) => {
      if (begin !== null && Math.abs(at(e) - begin) > 500) this.mark([Math.min(begin, at(e)), Math.max(begin, at(e))]);
      else if (begin !== null) {
        this.player.currentTime = at(e) / 1000;
        this.showWishes();
      }
      begin = null;
    });
    this.canvas.addEventListener("keydown", (e) => e.key === "Escape" && this.mark(null));
  }

  showRuns() {
    const runs = this.model.get("runs");
    const going = runs.filter((r) => ["waiting", "running"].includes(r.state));
    this.active.replaceChildren(...going.map((r) => this.goingCard(r)));
    const over = runs.filter((r) => !going.includes(r));
    const batches = new Map();
    for (const r of over) batches.set(r.batch || r.id, [...(batches.get(r.batch || r.id) || []), r]);
    this.past.replaceChildren(...[...batches.values()].map((batch) => h("div", { class: batch.length > 1 ? "mp-side" : "" }, batch.map((r) => this.pastCard(r)))));
    if (!over.length) this.past.append(h("p", { class: "mp-faint" }, "Nothing yet."));
  }

  goingCard(r) {
    const share = r.total ? r.done / r.total : null;
    const bar = h("progress", { max: 1, "aria-label": r.stage || "waiting", ...(share === null ? {} : { value: share }) });
    const text = r.state === "waiting" ? (r.ahead ? `waiting; ${r.ahead} before it` : "waiting") : [r.stage, r.total ? `${r.done}/${r.total}` : "", r.speed ? `${Math.round(r.speed)} tokens/s` : "", r.left ? `about ${spoken(r.left)} left` : ""].filter(Boolean).join(" · ");
    return h("div", { class: "mp-run going", "data-run": r.id }, h("div", { class: "mp-row" }, h("b", {}, r.title), h("span", { class: "mp-faint" }, r.about), h("button", { type: "button", class: "mp-quiet mp-cancel", disabled: r.stopping, onclick: () => this.say("cancel", { id: r.id }) }, r.stopping ? "stopping …" : "Cancel")), bar, h("div", { class: "mp-faint" }, text));
  }

  pastCard(r) {
    const act = (text, kind, more = {}) => h("button", { type: "button", class: "mp-quiet", onclick: () => this.say(kind, { id: r.id, ...more }) }, text);
    const seen = this.shown.get(r.id) || {};
    const done = r.state === "done";
    const head = h("div", { class: "mp-row" }, h("b", {}, r.title), r.stars !== null ? h("span", { class: "mp-level", style: `background:${colour(this.model.get("about").spectrum, r.stars)};color:${r.stars >= 5.5 ? "#fff" : "#16161d"}` }, `${r.stars.toFixed(2)} ★`) : null, h("span", { class: "mp-faint" }, r.about));
    const words = r.sentence ? h("p", { class: r.state === "failed" || r.state === "lost" ? "mp-error mp-lines" : "mp-faint mp-lines", role: r.state === "failed" ? "alert" : null }, r.sentence) : null;
    const mod = this.model.get("only") === "mod";
    const buttons = done && mod ? [act("Download", "download"), act("Read", "show")] : done ? [act("Download", "download"), seen.picture ? h("button", { type: "button", class: "mp-quiet", onclick: () => this.forgetShown(r.id) }, "Hide") : act("Show", "show"), act("Listen", "listen"), act("More like this one", "like"), act(this.range ? `Remap ${clock(this.range[0])} to ${this.range[1] ? clock(this.range[1]) : "the end"}` : "Remap a part", "remap")] : [];
    const rest = [mod ? null : act("Use these settings", "use"), act("Forget", "drop")];
    const picture = seen.picture ? h("img", { src: seen.picture, alt: `The map of ${r.title} on one page`, class: "mp-page" }) : null;
    const sound = seen.sound ? h("audio", { controls: true, src: seen.sound, "aria-label": "Half a minute with a tick on every object" }) : null;
    const figures = r.figures.length ? h("details", {}, h("summary", {}, "Figures"), table([], r.figures)) : null;
    const log = r.log || r.trace ? h("details", {}, h("summary", {}, "Log"), h("pre", {}, r.log + (r.trace ? `\n${r.trace}` : ""))) : null;
    return h("div", { class: `mp-run ${r.state}`, "data-run": r.id }, head, words, h("div", { class: "mp-row" }, buttons, rest.filter(Boolean)), seen.report ? h("iframe", { src: seen.report, class: "mp-report", sandbox: "allow-scripts allow-popups", title: `What MaiMod says of ${r.title}` }) : null, picture, sound, figures, log);
  }

  heard(message, buffers) {
    const blob = this.files.heard(message, buffers);
    if (message.kind === "mappers") this.showMappers(message.found, message.text);
    if (message.kind === "plan") this.planText.value = message.text;
    if (!blob) return;
    const url = () => URL.createObjectURL(blob);
    if (message.what === "file") save(blob, message.name);
    if (message.what === "song") {
      this.player.src = url();
      this.player.hidden = false;
      this.hearButton.hidden = true;
      this.player.play?.().catch(() => {});
    }
    if (message.what === "clicks") {
      this.clickPlayer.src = url();
      this.clickPlayer.hidden = false;
    }
    if (["picture", "sound", "report"].includes(message.what)) {
      this.shown.set(message.id, { ...(this.shown.get(message.id) || {}), [message.what]: url() });
      this.showRuns();
    }
  }
  forgetShown(id) {
    this.shown.delete(id);
    this.showRuns();
  }
}

function table(head, rows) {
  return h("table", { class: "mp-table" }, head.length ? h("thead", {}, h("tr", {}, head.map((c) => h("th", { scope: "col" }, c)))) : null, h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell) => h("td", {}, String(cell)))))));
}

function colour(spectrum, stars) {
  // between two stops light is mixed, not the numbers of a screen
  const stops = Object.entries(spectrum).map(([s, c]) => [Number(s), c]).sort((a, b) => a[0] - b[0]);
  const i = Math.max(stops.findIndex(([s]) => s > stars), 0);
  if (stars >= stops[stops.length - 1][0]) return stops[stops.length - 1][1];
  if (i === 0) return stops[0][1];
  const [a, b] = [stops[i - 1], stops[i]];
  const share = (stars - a[0]) / (b[0] - a[0]);
  const part = (c, at) => (parseInt(c.slice(at, at + 2), 16) / 255) ** 2.2;
  const mixed = [1, 3, 5].map((at) => Math.round(255 * (part(a[1], at) * (1 - share) + part(b[1], at) * share) ** (1 / 2.2)));
  return `rgb(${mixed.join(",")})`;
}

function render({ model, el }) {
  const view = new View(model, el);
  view.draw();
  return () => view.off.forEach((off) => off());
}

export default { render };

// Searches the pages in the reader's browser. The index is fetched with the first letter, as a script: a page on a disk may read nothing else.

const root = document.currentScript.dataset.root;
const MOST = 12; // results
let records = null;

function searchIndex(found) {
  // what index.js calls
  records = found.map(([page, title, heading, anchor, text, names]) => ({
    link: `${root}/${page}${anchor && `#${anchor}`}`,
    title,
    heading,
    text,
    fields: [[title, 8], [heading, 10], [names, 6], [text, 1]].map(([words, weight]) => [words.toLowerCase(), weight]),
  }));
  show();
}

function score(record, words) {
  // every word must be found; what begins a word weighs more than what stands within one
  let sum = 0;
  for (const word of words) {
    let best = 0;
    for (const [text, weight] of record.fields) {
      const at = text.indexOf(word);
      if (at < 0) continue;
      const begins = at === 0 || !/[\p{L}\d]/u.test(text[at - 1]);
      const whole = begins && !/[\p{L}\d]/u.test(text[at + word.length] || " ");
      best = Math.max(best, weight * (whole ? 3 : begins ? 2 : 1));
    }
    if (!best) return 0;
    sum += best;
  }
  return sum;
}

function marked(text, words) {
  // the place of the first word, and all words in it marked
  const lower = text.toLowerCase();
  const places = words.map((word) => lower.indexOf(word)).filter((at) => at >= 0);
  const from = Math.max(0, Math.min(...places, text.length) - 40);
  const cut = (from ? "… " : "") + text.slice(places.length ? from : 0, (places.length ? from : 0) + 140);
  const node = document.createElement("span");
  const escaped = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  for (const [i, piece] of cut.split(new RegExp(`(${escaped.join("|")})`, "i")).entries()) {
    if (i % 2) node.append(Object.assign(document.createElement("mark"), { textContent: piece }));
    else node.append(piece);
  }
  return node;
}

function result(record, words) {
  const link = Object.assign(document.createElement("a"), { href: record.link });
  const name = Object.assign(document.createElement("b"), { textContent: record.heading || record.title });
  link.append(name, record.heading ? ` ${record.title}` : "", document.createElement("br"), marked(record.text, words));
  const item = document.createElement("li");
  item.append(link);
  return item;
}

const query = () => document.getElementById("query");
const list = () => document.getElementById("found");

function show() {
  const words = query().value.toLowerCase().split(/\s+/).filter(Boolean);
  list().hidden = !words.length;
  if (!words.length) return;
  if (!records) return fetchIndex();
  const ranked = records.map((record) => [score(record, words), record]).filter(([points]) => points > 0);
  ranked.sort((a, b) => b[0] - a[0]);
  list().replaceChildren(...ranked.slice(0, MOST).map(([, record]) => result(record, words)));
  if (!ranked.length) list().append(Object.assign(document.createElement("li"), { textContent: "Nothing found." }));
}

function fetchIndex() {
  if (document.getElementById("index")) return;
  document.head.append(Object.assign(document.createElement("script"), { id: "index", src: `${root}/index.js` }));
}

function step(event) {
  // arrows go through the results, Escape leaves them
  const links = [query(), ...list().querySelectorAll("a")];
  const at = links.indexOf(document.activeElement);
  if (event.key === "/" && document.activeElement.tagName !== "INPUT") query().focus();
  else if (at >= 0 && event.key === "ArrowDown") links[Math.min(at + 1, links.length - 1)].focus();
  else if (at > 0 && event.key === "ArrowUp") links[at - 1].focus();
  else if (at >= 0 && event.key === "Escape") list().hidden = true;
  else if (at === 0 && event.key === "Enter" && links[1]) links[1].click();
  else return;
  event.preventDefault();
}

query().addEventListener("input", show);
query().addEventListener("focus", show);
document.addEventListener("keydown", step);
document.addEventListener("click", (event) => event.target.closest(".search") || (list().hidden = true));
if (document.activeElement === query()) show(); // what was typed before this script was there
document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "center" });

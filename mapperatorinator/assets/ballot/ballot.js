// The ballot: reads the form, downloads the votes as JSON, and keeps what was typed while the page is open. It sends nothing.
const form = document.querySelector("form");
const told = document.getElementById("told");

function votes() {
  const given = new FormData(form);
  const songs = {};
  for (const [name, value] of given) {
    const [song, question] = name.split("/");
    if (question) (songs[song] ??= {})[question] = value;
  }
  return {pack: form.dataset.pack, rater: given.get("rater").trim(), votes: songs};
}

function save(event) {
  event.preventDefault();
  const said = votes();
  const left = Number(form.dataset.songs) - Object.values(said.votes).filter(v => v.better && v.human).length;
  const file = new Blob([JSON.stringify(said, null, 1)], {type: "application/json"});
  const link = Object.assign(document.createElement("a"), {href: URL.createObjectURL(file), download: `votes ${said.rater}.json`});
  link.click();
  URL.revokeObjectURL(link.href);
  told.textContent = left ? `Saved; ${left} songs have no answer yet.` : "Saved. Thank you!";
}

form.addEventListener("submit", save);
for (const place of document.querySelectorAll("details")) {
  place.addEventListener("toggle", () => {  // a song is loaded when it is opened, and let go when it is closed
    const frame = place.querySelector("iframe");
    frame.srcdoc = place.open ? document.getElementById(frame.dataset.page).textContent : "";
  });
}

"use strict";
// The catalogue works without this. With it, the choice is kept in the address, words are found, lines are counted.
const chosen = [...document.querySelectorAll(".filters select")];
const words = document.getElementById("f-words");
const count = document.getElementById("f-count");
const lines = [...document.querySelectorAll(".cat tbody tr:not(.per)")];
const folded = (text) => text.toLowerCase().normalize("NFKC");
const show = () => {
  const asked = folded(words.value).split(/\s+/).filter(Boolean);
  for (const line of lines) {
    const text = folded(line.closest("tbody").textContent.slice(0, 80) + " " + line.textContent);
    line.hidden = !asked.every((word) => text.includes(word))
      || !chosen.every((one) => !one.value || line.dataset[one.name].split(" ").includes(one.value));
  }
  for (const body of document.querySelectorAll(".cat tbody")) {
    body.hidden = ![...body.querySelectorAll("tr:not(.per)")].some((line) => !line.hidden);
  }
  const shown = lines.filter((line) => !line.hidden).length;
  count.textContent = count.dataset.text.replace("{n}", shown).replace("{m}", lines.length);
};
const keep = () => {
  const state = new URLSearchParams();
  for (const one of chosen) if (one.value) state.set(one.name, one.selectedOptions[0].textContent);
  if (words.value) state.set("words", words.value);
  history.replaceState(null, "", "#" + state);
  show();
};
const state = new URLSearchParams(location.hash.slice(1));
for (const one of chosen) {
  const option = [...one.options].find((option) => option.textContent === state.get(one.name));
  if (option) one.value = option.value;
}
words.value = state.get("words") || "";
words.parentElement.hidden = count.hidden = false;
for (const field of [...chosen, words]) field.addEventListener("input", keep);
show();

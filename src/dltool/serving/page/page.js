"use strict";
// The page of `dltool serve`: a form for rows, a drop field for files, and what the model answers.

const find = (id) => document.getElementById(id);
const PROBABILITY = "probability of ";
const MOST_BARS = 20;
let models = [];
let secret = "";

function make(tag, text = "", name = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (name) element.className = name;
  return element;
}

async function ask(path, options = {}) {
  const headers = { ...options.headers, ...(secret && { Authorization: `Bearer ${secret}` }) };
  const response = await fetch(path, { ...options, headers });
  find("key").hidden = response.status !== 401;
  return response;
}

async function load() {
  const response = await ask("models");
  if (response.status === 401) return complain(secret && { error: "this is not the key of the server" });
  if (!response.ok) return complain(await read(response));
  complain({});
  models = (await response.json()).models;
  find("models").replaceChildren(...models.map((model) => make("option", model.name)));
  find("choice").hidden = models.length < 2;
  choose();
}

function choose() {
  const model = current();
  document.title = model.name;
  find("name").textContent = `${model.name} ${model.version}`;
  find("answers").replaceChildren();
  complain({});
  const row = rowOf(model);
  const fields = row.properties ? Object.entries(row.properties).map(([name, field]) => fieldFor(name, field, row)) : [];
  if (row.type === "string") fields.push(textField());
  find("fields").replaceChildren(...fields, make("button", "Predict"));
  find("fields").hidden = !fields.length;
  find("drop").hidden = !model.files;
  find("kind").textContent = model.files === "audio" ? "audio files" : "images";
  find("files").accept = model.files ? `${model.files}/*` : "";
}

const current = () => models[Math.max(0, find("models").selectedIndex)];
const rowOf = (model) => model.rows.items;

function textField() {
  const label = make("label");
  const area = make("textarea");
  area.name = "text";
  area.rows = 4;
  area.dataset.kind = "text";
  label.append(make("span", "Text"), area);
  return label;
}

function fieldFor(name, field, row) {
  const kinds = field.anyOf || [field];
  const kind = kinds.find((each) => each.type !== "null") || {};
  const isNeeded = (row.required || []).includes(name);
  const label = make("label");
  let input = make("input");
  let hint = "";
  if (kind.type === "boolean") {
    input = make("select");
    for (const [value, text] of [["", "missing"], ["true", "yes"], ["false", "no"]]) {
      const option = make("option", text);
      option.value = value;
      if (value || !isNeeded) input.append(option);
    }
  } else if (kind["x-known"]) {
    const list = make("datalist");
    list.id = `known ${name}`.replaceAll(/\s/g, "_");
    list.append(...kind["x-known"].map((value) => Object.assign(make("option"), { value })));
    input.setAttribute("list", list.id);
    label.append(list);
    hint = kind["x-known"].slice(0, 6).join(", ") + (kind["x-known"].length > 6 ? ", …" : "");
  } else if (kind.type === "number") {
    input.inputMode = "decimal";
    const [low, high] = kind["x-range"] || [];
    hint = low === undefined ? "" : `training: ${shown(low)} to ${shown(high)}`;
  } else if (kind["x-date"] || kind.type === "integer") {
    hint = kind.type === "integer" ? "an integer since 1970" : `a date: ${kind["x-date"] === "ISO" ? "2026-01-31" : kind["x-date"]}`;
  }
  input.name = name;
  input.dataset.kind = Array.isArray(kind.type) ? "cell" : kind.type;
  if (isNeeded && kind.type !== "boolean") input.required = true;
  if (!isNeeded && input.tagName === "INPUT") input.placeholder = "missing";
  label.prepend(make("span", name));
  label.append(input);
  if (hint) label.append(make("small", hint));
  return label;
}

function valueOf(input) {
  if (input.dataset.kind === "boolean") return input.value === "true";
  if (input.dataset.kind !== "number" && input.dataset.kind !== "integer") return input.value;
  const value = Number(input.value);
  return Number.isFinite(value) ? value : input.value;
}

async function predict(event) {
  event.preventDefault();
  const inputs = [...find("fields").querySelectorAll("[name]")];
  const row = {};
  for (const input of inputs) if (input.value !== "") row[input.name] = valueOf(input);
  const rows = rowOf(current()).type === "string" ? [row.text || ""] : [row];
  const headers = { "Content-Type": "application/json" };
  const options = { method: "POST", headers, body: JSON.stringify({ rows }) };
  const at = path();
  show(await read(await ask(at, options)), (prediction) => card(prediction, () => ask(`${at}/explain`, options)));
}

async function send(files) {
  if (!files.length) return;
  const given = [...files];
  const at = path();
  const sent = (some) => {
    const body = new FormData();
    for (const file of some) body.append("files", file);
    return { method: "POST", body };
  };
  show(await read(await ask(`${at}/files`, sent(given))), (prediction, number) => {
    const file = given[number];
    return card(prediction, () => ask(`${at}/explain/files`, sent([file])), file);
  });
}

const path = () => `models/${encodeURIComponent(current().name)}/predict`;

function complain(answer) {
  const problems = answer.problems || [];
  const lines = problems.map((each) => (each.field ? `${each.field}: ${each.message}` : each.message));
  find("error").textContent = lines.length ? lines.join("\n") : answer.error || "";
  const named = new Set(problems.map((each) => each.field));
  for (const input of find("fields").querySelectorAll("[name]")) input.setAttribute("aria-invalid", String(named.has(input.name)));
  find("warnings").replaceChildren(...(answer.warnings || []).map((each) => make("li", each)));
}

async function read(response) {
  try {
    return await response.json();
  } catch {
    return { error: `the server answered with status ${response.status}` };
  }
}

function show(answer, drawn) {
  complain(answer);
  find("answers").replaceChildren(...(answer.predictions || []).map(drawn));
}

function card(prediction, explain, file) {
  const article = make("article");
  if (file && file.type.startsWith("image/")) {
    const image = make("img");
    image.src = URL.createObjectURL(file);
    image.alt = "";
    image.onload = () => URL.revokeObjectURL(image.src);
    article.append(image);
  }
  if (file) article.append(make("p", file.name));
  const bars = [];
  for (const [name, value] of Object.entries(prediction)) {
    if (name.includes(PROBABILITY) && typeof value === "number") bars.push([name.replace(PROBABILITY, ""), value]);
    else article.append(make("h2", `${name}: ${typeof value === "number" ? shown(value) : value ?? "no number"}`));
  }
  bars.sort((one, other) => other[1] - one[1]);
  article.append(...bars.slice(0, MOST_BARS).map(([name, value]) => bar(name, value)));
  const button = make("button", "Explain", "quiet");
  button.addEventListener("click", async () => {
    button.disabled = true;
    button.textContent = "Explaining …";
    const answer = await read(await explain());
    button.replaceWith(...(answer.explanations || []).flatMap(explanation), make("p", answer.error || "", "error"));
  });
  article.append(button);
  return article;
}

function explanation({ sentences, proofs, figures }) {
  const drawn = figures.map((each) => {
    const figure = Object.assign(make("figure"), { tabIndex: 0 });
    figure.append(Object.assign(make("img"), { src: each.image, alt: each.description }), make("figcaption", each.title));
    return figure;
  });
  const holds = proofs.every((each) => each.holds);
  const details = Object.assign(make("details"), { open: !holds });
  const list = make("ul");
  list.append(...proofs.map((each) => make("li", each.sentence)));
  details.append(make("summary", holds ? "Its proofs hold" : "Not all of its proofs hold, so nothing is drawn"), list);
  return [...sentences.map((each) => make("p", each)), ...drawn, details];
}

function bar(name, value) {
  const line = make("div", "", "bar");
  const track = make("span", "", "track");
  const fill = make("span", "", "fill");
  fill.style.width = `${100 * value}%`;
  track.append(fill);
  line.append(make("span", name), track, make("span", `${(100 * value).toFixed(1)} %`));
  return line;
}

const shown = (value) => String(Number(value.toPrecision(6)));

find("models").addEventListener("change", choose);
find("fields").addEventListener("submit", predict);
find("files").addEventListener("change", (event) => send(event.target.files));
find("key").addEventListener("submit", (event) => {
  event.preventDefault();
  secret = find("secret").value;
  load();
});
const drop = find("drop");
for (const [kind, isOver] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", isOver);
    if (kind === "drop") send(event.dataTransfer.files);
  });
}
load();

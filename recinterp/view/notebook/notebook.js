// The notebook's two views: heads to switch off ("ablate") and a run to step through ("step").
// They show what the session answers and request the rest; nothing is computed or fetched here.

const make = (tag, props = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "class") node.className = value;
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
};
const text = (tag, words, props = {}) => make(tag, props, document.createTextNode(words));
const section = (title, ...body) => make("section", {}, text("h3", title), ...body);

// JupyterLab has shortcuts of its own, single letters among them; not while a key is ours.
const OWN_KEYS = { "data-lm-suppress-shortcuts": "true" };

const bytes = (base64) => Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0));

/** Rows of tokens under each other, index by index; marks: row -> index -> [class, words]. */
function tokenTable(rows, marks, caption) {
  const longest = Math.max(...rows.map(([, tokens]) => tokens.length));
  const head = make("tr", {}, make("td"),
    ...Array.from({ length: longest }, (_, i) => text("td", String(i + 1), { class: "index" })));
  const body = rows.map(([name, tokens]) => make("tr", {}, text("th", name, { scope: "row" }),
    ...tokens.map((token, i) => {
      const [kind, words] = marks[name]?.[i] ?? [];
      const cell = make("td", { class: kind ?? "", title: words ?? "" }, text("span", token));
      if (words) cell.append(text("small", words, { class: "hidden" }));
      return cell;
    })));
  return make("div", { class: "scroll" },
    make("table", { class: "tokens", "aria-label": caption }, head, ...body));
}

/** One head's attention: a row a query, a column a key, darker for more. */
function heatTable(answer, which, label) {
  const [, , queries, keys] = answer.shape;
  const from = which * queries * keys;
  const head = make("tr", {}, make("td"),
    ...answer.row.map((token) => text("th", token, { scope: "col" })));
  const body = Array.from({ length: queries }, (_, q) => make("tr", {},
    text("th", q === 0 ? "SEP" : answer.row[answer.query + q], { scope: "row" }),
    ...Array.from({ length: keys }, (_, k) => {
      const share = answer.bytes[from + q * keys + k] / 255;
      const words = `${Math.round(100 * share)} % on ${answer.row[k]} (${k + 1})`;
      return make("td", { style: `--share:${share.toFixed(3)}`, title: words });
    })));
  return make("div", { class: "scroll" },
    make("table", { class: "heat", "aria-label": label }, head, ...body));
}

function runTable(run, marked, note, onRow) {
  const head = make("tr", {}, ...["step", "mode", "rule", "guard / written", "registers", "writes from"]
    .map((name) => text("th", name, { scope: "col" })));
  const stacked = run.some((step) => step.stack.length);
  const body = run.map((step, i) => {
    const state = [...step.registers, stacked ? `stack ${step.stack.join(" ") || "empty"}` : ""];
    const row = make("tr", { class: i === marked ? "here" : "", "aria-current": i === marked ? "step" : null },
      text("td", String(i + 1)), text("td", step.mode), text("td", step.rule), text("td", step.text),
      text("td", state.filter(Boolean).join(", ")), text("td", String(step.out + 1)));
    if (onRow) row.addEventListener("click", () => onRow(i));
    return row;
  });
  if (note && marked !== null) {
    body.splice(marked + 1, 0, make("tr", { class: "here" }, make("td"), text("td", note, { colspan: 5 })));
  }
  return make("div", { class: "scroll" }, make("table", { class: "run" }, make("thead", {}, head), make("tbody", {}, ...body)));
}

// ---------------------------------------------------------------- ablate

function ablate({ model, el }) {
  const setup = model.get("setup");
  const state = { heads: new Set(), kind: setup.kinds[0], to: setup.pointers[0] ?? "",
    tokens: setup.suggested_inputs[0].tokens, shown: defaultHead(setup), n: 0, answer: null, strata: [] };

  const status = make("p", { class: "status", role: "status", "aria-live": "polite" });
  const outputs = make("div"), machine = make("div"), accuracy = make("div"), attention = make("div");
  const derivation = make("div", { "aria-live": "polite" });

  const buttons = setup.heads.map((head) => {
    const key = `${head.layer}.${head.head}`;
    return make("button", { type: "button", class: "head", "aria-pressed": "false", "data-head": head.name,
      title: head.note, onclick: () => toggle(key) },
    text("b", head.name + (head.recursion ? " ●" : "")), text("small", head.role || "–"), text("small", "on", { class: "edit" }));
  });
  const columns = setup.heads.length / setup.layers;
  const grid = make("div", { class: "grid", role: "group", "aria-label": "heads: press to ablate",
    style: `--columns:${columns}`, onkeydown: (event) => roam(event, buttons, columns) }, ...buttons);

  const kinds = make("div", { class: "row", role: "radiogroup", "aria-label": "kind of ablation" },
    ...setup.kinds.map((kind) => {
      const radio = make("input", { type: "radio", name: `kind-${setup.title}-${Math.random()}`, value: kind });
      radio.checked = kind === state.kind;
      radio.onchange = () => { state.kind = kind; kinds.querySelectorAll("input").forEach((r) => { r.checked = r === radio; }); pointers.hidden = kind !== "redirect"; query(); };
      return make("label", {}, radio, document.createTextNode(` ${kind}`));
    }));
  const pointer = make("select", { "aria-label": "pointer the heads are redirected to",
    onchange: (event) => { state.to = event.target.value; query(); } },
  ...setup.pointers.map((name) => text("option", name, { value: name })));
  const pointers = make("label", { hidden: true }, document.createTextNode("to "), pointer);

  const typed = make("input", { type: "text", class: "typed", spellcheck: "false", disabled: !setup.live,
    "aria-label": "input tokens, separated by blanks", value: state.tokens.join(" "),
    onchange: () => readTyped(), onkeydown: (event) => { if (event.key === "Enter") readTyped(); } });
  const readTyped = () => { // Enter and leaving the field both do; the second has nothing new
    const tokens = typed.value.trim().split(/\s+/).filter(Boolean);
    if (tokens.join(" ") !== state.tokens.join(" ")) { state.tokens = tokens; pick.selectedIndex = -1; query(); }
  };
  const pick = make("select", { "aria-label": "inputs to pick from", onchange: () => {
    state.tokens = setup.suggested_inputs[Number(pick.value)].tokens; typed.value = state.tokens.join(" "); query(); } },
  ...setup.suggested_inputs.map((x, i) => text("option", `${x.reason}: ${x.tokens.join(" ")}`, { value: String(i) })));
  const clear = text("button", "all heads on", { type: "button", onclick: () => { state.heads.clear(); query(); } });
  const derive = text("button", "derive machine and diff again", { type: "button", onclick: () => {
    derivation.replaceChildren(text("p", "querying the model …", { class: "dim" }));
    derive.setAttribute("aria-busy", "true");
    model.send({ what: "derive", heads: chosen(), kind: state.kind, to: state.to }); } });

  const root = make("div", { class: "ri-nb", ...OWN_KEYS },
    text("p", setup.title, { class: "dim" }),
    make("div", { class: "controls" },
      section("Heads, press to switch off", grid, make("div", { class: "row" }, kinds, pointers, clear)),
      section("Input", make("div", { class: "stack" }, typed, pick,
        setup.live ? text("small", `tokens: ${setup.vocab.join(" ")}`, { class: "dim" })
          : text("small", "Without a kernel: the suggested inputs, single heads and pairs.", { class: "dim" })),
      setup.live ? make("div", { class: "row" }, derive) : null, derivation)),
    status, section("Output", outputs),
    make("div", { class: "pair" }, section("Accuracy by stratum", accuracy), section("Attention", attention)),
    section("The learned machine's run", machine));
  el.replaceChildren(root);

  const chosen = () => [...state.heads].map((key) => key.split(".").map(Number));
  function toggle(key) {
    if (state.heads.has(key)) state.heads.delete(key);
    else { state.heads.add(key); state.shown = setup.heads.findIndex((h) => `${h.layer}.${h.head}` === key); }
    query();
  }
  function query() {
    setup.heads.forEach((head, i) => {
      const edited = state.heads.has(`${head.layer}.${head.head}`);
      buttons[i].setAttribute("aria-pressed", String(edited));
      buttons[i].querySelector(".edit").textContent = edited ? state.kind : "on";
    });
    state.n += 1; state.requested = performance.now(); state.answer = null; state.strata = [];
    root.setAttribute("aria-busy", "true");
    status.textContent = "querying the model …";
    model.send({ n: state.n, what: "answer", tokens: state.tokens, heads: chosen(), kind: state.kind, to: state.to });
  }
  function onMessage(message) {
    if (message.what === "deriving") derivation.replaceChildren(text("p", `${message.text} …`, { class: "dim" }));
    else if (message.what === "derived") { derive.removeAttribute("aria-busy"); derivation.replaceChildren(...derivedParts(message)); }
    else if (message.n !== state.n) return; // an older click's
    else if (message.what === "answer") show(message);
    else if (message.what === "stratum") { state.strata.push(message); showAccuracy(); }
    else if (message.what === "done") root.removeAttribute("aria-busy");
    else if (message.what === "error") refuse(message.text);
  }
  // A refused input has no output: what an earlier one gave is taken away.
  function refuse(words) {
    root.removeAttribute("aria-busy");
    status.textContent = words;
    status.classList.add("bad");
    if (state.answer === null) for (const part of [outputs, machine, accuracy, attention]) part.replaceChildren(text("p", "–", { class: "dim" }));
  }
  function show(answer) {
    answer.bytes = bytes(answer.attention);
    state.answer = answer;
    root.dataset.latency = String(Math.round(performance.now() - state.requested));
    status.classList.remove("bad");
    const names = setup.heads.filter((h) => state.heads.has(`${h.layer}.${h.head}`)).map((h) => h.name);
    const wrong = answer.output.join(" ") !== answer.truth.join(" ");
    status.textContent = (names.length ? `${names.join(", ")} ${state.kind === "redirect" ? `redirected to ${state.to}` : `ablated (${state.kind})`}: ` : "All heads on: ")
      + (names.length ? difference(answer) : "")
      + (wrong ? "the output is wrong" : "the output is right")
      + (names.length && answer.clean.join(" ") !== answer.truth.join(" ") ? ", and is wrong with all heads on." : ".");
    const marks = { "with intervention": Object.fromEntries(answer.changed.map((i) => [i, ["changed", "changed by the intervention"]])), "machine": {} };
    const at = answer.first_difference;
    if (at !== null) {
      marks.machine[at] = ["differs", "first difference from the model"];
      const edited = marks["with intervention"];
      edited[at] = edited[at] ? ["changed differs", "changed, and the first difference from the machine"] : ["differs", "first difference from the machine"];
    }
    outputs.replaceChildren(
      tokenTable([["input", answer.input], ["truth", answer.truth], ["all heads on", answer.clean], ["with intervention", answer.output], ["machine", answer.machine_output]], marks, "outputs"),
      make("p", { class: "legend" }, text("span", "changed by the intervention", { class: "changed" }), text("span", "first difference between model and machine", { class: "differs" })));
    const written = answer.output[at] ?? "the end", predicted = answer.machine_output[at] ?? "the end";
    machine.replaceChildren(runTable(answer.run, answer.step, at === null ? null
      : `▲ first difference: at output token ${at + 1} the model writes ${written}, the machine ${predicted}`));
    if (at === null) machine.append(text("p", "The model's output is the machine's.", { class: "dim" }));
    showAttention();
    showAccuracy();
  }
  function showAccuracy() {
    const rows = state.strata.map((s) => make("tr", {}, text("th", s.name, { scope: "row" }),
      make("td", {}, make("span", { class: "bar", style: `--share:${s.clean / s.total}` }), make("span", { class: "bar edited", style: `--share:${s.edited / s.total}` })),
      text("td", `${s.clean}/${s.total}`), text("td", `${s.edited}/${s.total}`)));
    const head = make("tr", {}, ...["", "", "all on", "edited"].map((name) => text("th", name)));
    accuracy.replaceChildren(rows.length ? make("table", { class: "strata" }, head, ...rows) : text("p", "…", { class: "dim" }));
  }
  function showAttention() {
    const select = make("select", { "aria-label": "head whose attention is shown", onchange: (event) => { state.shown = Number(event.target.value); showAttention(); attention.querySelector("select").focus(); } },
      ...setup.heads.map((head, i) => text("option", head.name, { value: String(i), selected: i === state.shown })));
    const name = setup.heads[state.shown].name;
    attention.replaceChildren(select, heatTable(state.answer, state.shown, `attention of ${name}`));
  }
  model.on("msg:custom", onMessage);
  query();
  return () => model.off?.("msg:custom", onMessage);
}

const defaultHead = (setup) => Math.max(0, setup.heads.findIndex((head) => head.recursion));

function difference(answer) {
  const count = answer.changed.length, shorter = answer.clean.length - answer.output.length;
  if (!count && !shorter) return "nothing changes; ";
  const words = count === 1 ? "1 token changes" : `${count} tokens change`;
  return `${words}${shorter > 0 ? `, ${shorter} fewer are written` : ""}; `;
}

/** Arrow keys move between the heads. */
function roam(event, buttons, columns) {
  const move = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
  const to = buttons[buttons.indexOf(event.target) + move];
  if (move === undefined || !to) return;
  event.preventDefault();
  event.stopPropagation();
  to.focus();
}

function derivedParts(found) {
  if (found.error) return [text("p", found.error, { class: "bad" })];
  const parts = [make("p", {}, text("b", `${found.verdict}: `), document.createTextNode(found.headline)),
    text("small", `${found.domain}; the machine matches ${found.match} of held-out outputs`, { class: "dim" }), text("pre", found.table)];
  if (found.counterexample) parts.splice(1, 0, tokenTable([["input", found.counterexample.input], ["truth", found.counterexample.truth], ["model", found.counterexample.output]], {}, "counterexample"));
  return parts;
}

// ---------------------------------------------------------------- step

function step({ model, el }) {
  const setup = model.get("setup");
  if (setup.model) setup.model.bytes = bytes(setup.model.attention);
  const last = setup.frames.length - 1;
  let now = 0;
  const go = (to) => { now = Math.max(0, Math.min(last, to)); show(); };
  const button = (sign, name, to) => text("button", sign, { type: "button", "aria-label": name, title: name, onclick: () => go(to()) });
  const slider = make("input", { type: "range", min: 0, max: last, "aria-label": "step", oninput: () => go(Number(slider.value)) });
  const status = make("span", { role: "status", "aria-live": "polite" });
  const reduction = make("div"), machine = make("div"), network = make("div"), outputs = make("div");
  const keys = { ArrowRight: () => now + 1, ArrowLeft: () => now - 1, Home: () => 0, End: () => last };
  const root = make("div", { class: "ri-nb", ...OWN_KEYS, tabindex: "0", role: "group", "aria-label": "stepper: arrow keys, Home and End",
    onkeydown: (event) => {
      if (!(event.key in keys)) return;
      event.preventDefault();
      event.stopPropagation();
      go(keys[event.key]());
    } },
  text("p", setup.title, { class: "dim" }),
  make("div", { class: "row" }, button("|◀", "first step", () => 0), button("◀", "one step back", () => now - 1), button("▶", "one step on", () => now + 1), button("▶|", "last step", () => last), slider, status),
  section("True program", reduction), section("Input and outputs", outputs), section("Learned machine", machine), setup.model ? section("Model: what each head looks at", network) : null);
  el.replaceChildren(root);

  function show() {
    const [i, j, t] = setup.frames[now];
    slider.value = String(now);
    root.dataset.step = String(now);
    status.textContent = `${now + 1} of ${last + 1}, output token ${t + 1}`;
    const redex = setup.trace[i];
    reduction.replaceChildren(redex
      ? make("div", {}, make("p", {}, text("b", redex.rule, { class: "rule" }), document.createTextNode(` ${redex.name}`), text("span", ` step ${i + 1} of ${setup.trace.length}`, { class: "dim" })),
        make("pre", { class: "term" }, document.createTextNode(redex.before), text("mark", redex.redex), document.createTextNode(redex.after)))
      : make("div", {}, make("p", {}, text("b", "normal form", { class: "rule" })), text("pre", setup.normal, { class: "term" })));
    const rows = [["truth", setup.truth], ["machine", setup.machine_output]];
    if (setup.model) rows.push(["model", setup.model.output]);
    const marks = Object.fromEntries(rows.map(([name, tokens]) => [name, { [t]: [tokens[t] === setup.truth[t] ? "now" : "now changed", tokens[t] === setup.truth[t] ? "this token" : "not the truth"] }]));
    const at = setup.run[j]?.at;
    marks.input = at === null || at === undefined ? {} : { [at]: ["now", "where the machine's pointer stands"] };
    outputs.replaceChildren(tokenTable([["input", setup.input], ...rows], marks, "input and outputs"));
    machine.replaceChildren(runTable(setup.run, setup.run.length ? j : null, null));
    if (setup.model) network.replaceChildren(headRows(setup.model, t));
  }
  show();
}

/** For one query, a row a head: how its attention spreads over the tokens. */
function headRows(model, t) {
  const [, heads, queries, keys] = model.shape;
  const q = Math.min(t, queries - 1);
  const head = make("tr", {}, make("td"), ...model.row.map((token, k) => text("th", token, { scope: "col", class: k > model.query + q ? "later" : "" })));
  const body = model.heads.map((name, i) => make("tr", {}, text("th", name + (model.recursion_heads.includes(name) ? " ●" : ""), { scope: "row" }),
    ...Array.from({ length: keys }, (_, k) => {
      const share = model.bytes[(i * queries + q) * keys + k] / 255;
      return make("td", { style: `--share:${share.toFixed(3)}`, title: `${name}: ${Math.round(100 * share)} % on ${model.row[k]}` });
    })));
  return make("div", { class: "scroll" }, make("table", { class: "heat", "aria-label": `attention of ${heads} heads a layer` }, head, ...body));
}

// ---------------------------------------------------------------- both

function render({ model, el }) {
  return (model.get("view") === "step" ? step : ablate)({ model, el });
}

/** Without a kernel: the same view on data that is already there. */
function renderStatic(el, { view, setup, stored }) {
  const listeners = [];
  const reply = (message) => setTimeout(() => listeners.forEach((listener) => listener(message)));
  const model = {
    get: (name) => ({ view, setup })[name],
    on: (_, listener) => listeners.push(listener),
    send: (request) => {
      const which = setup.suggested_inputs.findIndex((x) => x.tokens.join(" ") === request.tokens.join(" "));
      const key = `${request.kind}|${request.heads.map((h) => h.join(".")).sort().join(" ")}`;
      const answer = stored.answers[`${which}|${key}`];
      const n = request.n;
      if (!answer) return reply({ n, what: "error", text: "Without a kernel there are single heads and pairs; press one to switch it on again." });
      reply({ n, what: "answer", ...answer, run: stored.runs[which] });
      for (const [name, total, clean, edited] of stored.strata[key]) reply({ n, what: "stratum", name, total, clean, edited });
      return reply({ n, what: "done" });
    },
  };
  render({ model, el });
}

export default { render, renderStatic };

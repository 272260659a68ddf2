(function () {
  "use strict";
  const ROWS = 50, LETTERS = 300, WAIT_MS = 150;
  const UNPARSED = -1, FAILED = -2, ABSENT = -3;
  const { unpack, reader, writer, fill, el, bdi } = parts;

  const clip = (text) => (text.length <= LETTERS ? text : text.slice(0, LETTERS - 1).replace(/[\ud800-\udbff]$/, "") + "…");

  class Explorer {
    constructor(root) {
      const one = (name) => root.querySelector(".x-" + name);
      this.root = root;
      this.one = one;
      const config = JSON.parse(one("config").textContent);
      const texts = Array.from(root.querySelectorAll(".x-chunk"), (script) => script.textContent);
      this.words = config.words;
      this.write = writer(config.words);
      this.arms = config.arms;
      this.rows = reader(config.chunks, texts);
      this.pool = reader(config.shots, texts.slice(config.chunks.length));
      this.folder = ([...config.chunks, ...config.shots].find((entry) => entry[2]) || ["", "", ""])[2].replace(/\/.*$/, "");
      this.pair = config.pair;
      this.turn = 0;
      this.page = 0;
      this.draws = 0;
      this.open = -1;
    }

    async start() {
      this.columns = await unpack(this.one("columns").textContent);
      this.plain = { preset: "all", expected: "", predicted: "", slice: "", query: "" };
      this.state = { ...this.plain, a: this.pair[0], b: this.pair.length > 1 ? this.pair[1] : this.pair[0] };
      this.controls();
      this.listen();
      await this.refresh();
      this.root.classList.add("x-ready");
      this.one("live").hidden = false;
    }

    // ---- what is asked for

    controls() {
      const { words, columns } = this;
      const named = this.arms.map((arm, n) => [n, arm.letter ? arm.letter + " · " + arm.name : arm.name]);
      const labels = columns.labels.map((label, n) => [n, label]);
      const expected = new Set(columns.expected);
      this.options("a", named);
      this.options("b", named);
      this.options("expected", [["", words.any], ...labels.filter(([n]) => expected.has(n))]);
      this.options("predicted", [["", words.any], ...labels, [UNPARSED, words.none]]);
      const slices = columns.slices.flatMap((slice, s) => slice.values.map((value, v) => [s + ":" + v, slice.name + " = " + value]));
      if (slices.length) {
        this.options("slice", [["", words.any], ...slices]);
        this.one("slice").parentElement.hidden = false;
      }
    }

    options(name, pairs) {
      const select = this.one(name);
      if (select) { select.replaceChildren(...pairs.map(([value, text]) => el("option", { value, dir: "auto" }, text))); }
    }

    presets() {
      const { words, state } = this, { a, b } = state;
      const letters = { a: this.letter(a), b: this.letter(b) };
      const kinds = a === b ? ["all", "wrong", "unparsed"] : ["all", "differ", "onlyA", "onlyB", "both", "unparsed"];
      if (!kinds.includes(state.preset)) { state.preset = "all"; }
      const box = this.one("presets"), group = "x-preset-" + this.one("title").id;
      const within = box.contains(document.activeElement);
      box.replaceChildren(box.firstElementChild, ...kinds.map((kind) => {
        const input = el("input", { type: "radio", name: group, value: kind });
        input.checked = kind === state.preset;
        let n = 0;
        for (let row = 0; row < this.columns.id.length; row++) { n += this.fits(kind, row) ? 1 : 0; }
        return el("label", null, input, el("span", null, fill(words[kind], letters) + " ", el("small", null, this.write.count(n))));
      }));
      if (within) { box.querySelector("input:checked").focus(); }
    }

    letter(arm) { return this.arms[arm].letter || this.arms[arm].name; }
    label(arm, row) { return this.columns.answers[arm].label[row]; }
    right(arm, row) { return this.label(arm, row) === this.columns.expected[row] && this.label(arm, row) >= 0; }
    wrong(arm, row) { return this.label(arm, row) !== ABSENT && !this.right(arm, row); }
    blank(arm, row) { const n = this.label(arm, row); return n === UNPARSED || n === FAILED; }

    fits(preset, row) {
      const { a, b } = this.state;
      switch (preset) {
        case "differ": return this.label(a, row) !== this.label(b, row);
        case "onlyA": return this.wrong(a, row) && !this.wrong(b, row);
        case "onlyB": return this.wrong(b, row) && !this.wrong(a, row);
        case "both": return this.wrong(a, row) && this.wrong(b, row);
        case "wrong": return this.wrong(a, row);
        case "unparsed": return this.blank(a, row) || this.blank(b, row);
        default: return true;
      }
    }

    chosen() {
      const { state, columns } = this, found = [];
      const [slice, value] = state.slice.split(":").map(Number);
      const expected = state.expected === "" ? null : Number(state.expected);
      const predicted = state.predicted === "" ? null : Number(state.predicted);
      for (let row = 0; row < columns.id.length; row++) {
        if (expected !== null && columns.expected[row] !== expected) { continue; }
        if (predicted === UNPARSED ? !this.blank(state.a, row) : predicted !== null && this.label(state.a, row) !== predicted) { continue; }
        if (state.slice && columns.slices[slice].of[row] !== value) { continue; }
        if (this.fits(state.preset, row)) { found.push(row); }
      }
      return found;
    }

    // Reads the chunks of rows one after the other; stops where something newer is asked for.
    async through(rows, turn, each) {
      let place = -1, part = null;
      for (const row of rows) {
        if (place < 0 || row >= this.rows.last(place)) {
          place = this.rows.place(row);
          const late = setTimeout(() => this.progress(fill(this.words.reading, { n: this.write.count(place + 1), all: this.write.count(this.rows.parts) })), WAIT_MS);
          part = await this.rows.part(place);
          clearTimeout(late);
          if (part === null) { this.lost = true; }
          if (turn !== this.turn) { return false; }
        }
        each(row, part, row - this.rows.first(place));
      }
      this.progress(this.lost ? fill(this.words.missing, { folder: this.folder }) : "");
      return true;
    }

    async refresh() {
      const turn = ++this.turn, query = this.state.query.trim().toLowerCase();
      this.presets();
      ["a", "b", "expected", "predicted", "slice", "query"].forEach((name) => {
        const control = this.one(name);
        if (control && control.value !== String(this.state[name])) { control.value = this.state[name]; }
      });
      let rows = this.chosen();
      if (query) {
        const found = [];
        const within = (text) => text && text.toLowerCase().includes(query);
        const whole = await this.through(rows, turn, (row, part, at) => {
          const said = part && part.answers.some((answer) => within(answer.response && answer.response[at]));
          if (said || (part && part.text && within(part.text[at])) || within(this.columns.id[row])) { found.push(row); }
        });
        if (!whole) { return; }
        rows = found;
      }
      this.matches = rows;
      this.page = 0;
      await this.draw();
    }

    progress(text) { if (this.one("progress").textContent !== text) { this.one("progress").textContent = text; } }

    // ---- the table

    async draw() {
      const { words, write, matches } = this, turn = this.turn, draw = ++this.draws;
      const shown = matches.slice(this.page * ROWS, (this.page + 1) * ROWS), body = [];
      const { a, b } = this.state, arms = a === b ? [a] : [a, b];
      const named = arms.map((arm) => (this.arms[arm].letter + " " + this.arms[arm].name).trim());
      const heads = [words.example, words.text, words.expected, ...named, words.right];
      const whole = await this.through(shown, turn, (row, part, at) => body.push(this.line(row, part, at, arms, heads)));
      if (!whole || draw !== this.draws) { return; } // another page was asked for meanwhile
      const pages = Math.max(1, Math.ceil(matches.length / ROWS));
      const head = el("tr", { role: "row" }, ...heads.map((text, n) => el(
        "th", { scope: "col", role: "columnheader", class: n === heads.length - 1 ? "n" : null },
        ...(n > 2 && n < heads.length - 1 ? this.armed(arms[n - 3]) : [text]))));
      const table = this.root.querySelector(".x-live table");
      table.tHead.replaceChildren(head);
      const none = el("tr", { role: "row" }, el("td", { role: "cell", colspan: heads.length }, words.nothing));
      table.tBodies[0].replaceChildren(...(body.length ? body : [none]));
      this.one("count").textContent = fill(words.counted, { n: write.count(matches.length), all: write.count(this.columns.id.length) });
      this.one("page").textContent = fill(words.page, { n: write.count(this.page + 1), all: write.count(pages) });
      this.one("back").setAttribute("aria-disabled", String(this.page === 0));
      this.one("on").setAttribute("aria-disabled", String(this.page >= pages - 1));
    }

    armed(arm) { return [this.one("arms").children[arm].cloneNode(true)]; }

    line(row, part, at, arms, heads) {
      const { columns, words } = this, id = columns.id[row];
      const button = el("button", { type: "button", class: "x-open", "aria-label": fill(words.open, { id }) }, bdi(id.slice(0, 8)));
      const text = this.textOf(part, at), all = this.arms.map((arm, n) => n).filter((arm) => this.label(arm, row) !== ABSENT);
      const cell = (n, name, ...children) => el("td", { role: "cell", "data-h": heads[n], class: name, dir: name === "prose" ? "auto" : null }, ...children);
      const made = el("tr", { role: "row" },
        cell(0, "head", button), cell(1, "prose", clip(text)), cell(2, null, bdi(this.named(columns.expected[row]))),
        ...arms.map((arm, n) => cell(3 + n, null, ...this.brief(arm, row, part, at))),
        cell(heads.length - 1, "n", fill(words.of, { n: all.filter((arm) => this.right(arm, row)).length, all: all.length })));
      made.dataset.row = row;
      return made;
    }

    textOf(part, at) {
      if (part === null) { return this.words.away; }
      return (part.text && part.text[at]) || this.words.noText;
    }

    named(label) {
      const others = { [UNPARSED]: this.words.none, [FAILED]: this.words.failed, [ABSENT]: this.words.absent };
      return label >= 0 ? this.columns.labels[label] : others[label];
    }

    brief(arm, row, part, at) {
      const label = this.label(arm, row), sure = part && this.columns.answers[arm].sure;
      if (label === ABSENT) { return [this.words.absent]; }
      const sign = el("span", { class: this.right(arm, row) ? "x-yes" : "x-no" }, this.right(arm, row) ? "✓" : "✗");
      const said = part && part.answers[arm].response && part.answers[arm].response[at];
      if (label < 0) { return [sign, " ", said ? bdi(clip(said)) : "", " ", el("span", { class: "tag" }, this.named(label))]; }
      return [sign, " ", bdi(this.named(label)), sure && sure[row] !== null ? el("small", null, " " + this.write.percent(sure[row] / 100)) : ""];
    }

    // ---- one example

    async show(row) {
      if (row < 0) { return; }
      const { columns, words, write } = this, place = this.rows.place(row), at = row - this.rows.first(place);
      this.open = row;
      const part = await this.rows.part(place);
      if (this.open !== row) { return; }
      const position = this.matches.indexOf(row), id = columns.id[row];
      const where = position < 0 ? "" : fill(words.place, { n: write.count(position + 1), all: write.count(this.matches.length) });
      this.one("title").replaceChildren(words.example + " ", bdi(id), " ", el("small", null, where));
      const facts = [[words.expected, this.named(columns.expected[row])]];
      columns.slices.forEach((slice) => { if (slice.of[row] >= 0) { facts.push([slice.name, slice.values[slice.of[row]]]); } });
      const list = el("dl", { class: "x-fact" }, ...facts.flatMap(([name, value]) => [el("dt", null, bdi(name)), el("dd", null, bdi(value))]));
      const answers = this.arms.map((arm, n) => this.answer(n, row, part, at));
      this.one("body").replaceChildren(el("p", { class: "x-text", dir: "auto" }, this.textOf(part, at)), list, ...answers);
      this.one("shots").replaceChildren(); // those of another example
      this.one("prior").setAttribute("aria-disabled", String(position <= 0));
      this.one("next").setAttribute("aria-disabled", String(position < 0 || position >= this.matches.length - 1));
      const dialog = this.one("dialog");
      if (!dialog.open) { dialog.showModal(); this.one("title").focus(); }
      dialog.scrollTop = 0;
      this.mark("#s=" + encodeURIComponent(id));
      const shots = await this.prompts(row, part, at);
      if (this.open === row) { this.one("shots").replaceChildren(...shots); }
    }

    answer(arm, row, part, at) {
      const { words, write } = this, label = this.label(arm, row);
      const box = el("div", { class: "x-answer" }, el("p", null, ...this.armed(arm), ": ", ...this.brief(arm, row, null, 0)));
      if (label === ABSENT || part === null) { return box; }
      const of = (name) => (part.answers[arm][name] ? part.answers[arm][name][at] : null);
      const said = of("response") || of("error");
      if (said && said.trim() !== this.named(label)) { box.append(el("p", { class: "x-said", dir: "auto", title: words.response }, said)); }
      const more = [];
      if (of("cached_tokens")) { more.push(fill(words.cached, { n: write.count(of("cached_tokens")) })); }
      if (of("reasoning_tokens")) { more.push(fill(words.reasoning, { n: write.count(of("reasoning_tokens")) })); }
      if (of("reused")) { more.push(words.reused); }
      const facts = [
        [words.confidence, of("confidence"), write.percent(of("confidence"))],
        [words.tokens, of("input_tokens"), write.count(of("input_tokens")) + " / " + write.count(of("output_tokens"))],
        [words.latency, of("latency_s"), write.ms(of("latency_s"))],
        [words.attempts, of("attempts"), write.count(of("attempts"))],
        [words.cost, of("cost_usd"), write.usd(of("cost_usd"))],
      ].filter((fact) => fact[1] !== null);
      box.append(el("dl", { class: "x-fact" }, ...facts.map(([name, , text]) => el("div", null, el("dt", null, name), el("dd", null, text)))));
      if (more.length) { box.append(el("p", { class: "x-progress" }, more.join(", "))); }
      return box;
    }

    // The shots of each arm, folded; arms that were shown the same ones stand together.
    async prompts(row, part, at) {
      const { words } = this, alike = new Map();
      if (part === null) { return []; }
      part.answers.forEach((answer, arm) => {
        if (this.label(arm, row) === ABSENT) { return; }
        const shots = answer.lists ? answer.lists[answer.shots[at]] : [], key = shots.join();
        if (!alike.has(key)) { alike.set(key, { shots, arms: [] }); }
        alike.get(key).arms.push(this.letter(arm));
      });
      return Promise.all(Array.from(alike.values(), async ({ shots, arms }) => {
        if (!shots.length) { return el("p", { class: "x-about" }, fill(words.noShots, { arms: arms.join(", ") })); }
        const items = await Promise.all(shots.map(async (n) => {
          const place = n < 0 ? -1 : this.pool.place(n), held = place < 0 ? null : await this.pool.part(place);
          if (!held) { return el("li", null, words.away); }
          const [label, text] = held.shots[n - this.pool.first(place)];
          return el("li", { dir: "auto" }, el("b", null, bdi(label)), text);
        }));
        return el("details", null, el("summary", null, fill(words.shotsOf, { arms: arms.join(", "), n: shots.length })), el("ol", null, ...items));
      }));
    }

    step(by) {
      const next = this.matches[this.matches.indexOf(this.open) + by];
      if (next !== undefined && this.matches.includes(this.open)) { this.show(next); }
    }

    async closed() {
      const row = this.open, position = this.matches.indexOf(row);
      this.open = -1;
      this.mark("#" + (this.root.closest("section[id]") || this.root).id);
      if (position >= 0 && Math.floor(position / ROWS) !== this.page) { this.page = Math.floor(position / ROWS); await this.draw(); }
      const line = this.root.querySelector('tr[data-row="' + row + '"]');
      (line ? line.querySelector("button") : this.one("count")).focus();
    }

    mark(hash) { try { history.replaceState(null, "", hash); } catch (e) { /* a sandboxed page has no address of its own */ } }

    // ---- from and to elsewhere

    async follow(hash) {
      const columns = this.columns, decoded = (text) => { try { return decodeURIComponent(text); } catch (e) { return text; } };
      if (hash.startsWith("#s=")) { return this.show(columns.id.indexOf(decoded(hash.slice(3)))); }
      if (!hash.startsWith("#f=")) { return undefined; }
      const [name, expected, predicted] = hash.slice(3).split(":").map(decoded);
      const a = this.arms.findIndex((arm) => arm.name === name), of = (label) => columns.labels.indexOf(label);
      if (a < 0 || of(expected) < 0) { return undefined; }
      const b = this.state.b === a ? this.pair.find((arm) => arm !== a) : this.state.b;
      const other = predicted ? of(predicted) : UNPARSED;
      this.state = { ...this.plain, a, b: b === undefined ? a : b, expected: String(of(expected)), predicted: String(other) };
      await this.refresh();
      (this.root.closest("section") || this.root).scrollIntoView();
      return this.one("count").focus({ preventScroll: true });
    }

    async save() {
      const { columns, arms } = this, answers = ["response", "confidence", "input_tokens", "output_tokens", "latency_s", "attempts", "cost_usd", "error", "cached_tokens", "reasoning_tokens", "reused"];
      const heads = ["id", "expected", "text", ...columns.slices.map((slice) => slice.name)];
      arms.forEach((arm) => ["predicted", "status", ...answers, "shots"].forEach((name) => heads.push(arm.name + " " + name)));
      const status = { [UNPARSED]: "unparsed", [FAILED]: "failed", [ABSENT]: "" }, lines = [heads];
      const whole = await this.through(this.matches, this.turn, (row, part, at) => {
        const line = [columns.id[row], this.named(columns.expected[row]), part && part.text ? part.text[at] : ""];
        columns.slices.forEach((slice) => line.push(slice.of[row] < 0 ? "" : slice.values[slice.of[row]]));
        arms.forEach((arm, n) => {
          const label = this.label(n, row);
          line.push(label < 0 ? "" : columns.labels[label], label < 0 ? status[label] : "answered");
          const said = part ? part.answers[n] : {};
          answers.forEach((name) => line.push(said[name] ? said[name][at] : ""));
          line.push(part === null || label === ABSENT ? "" : said.lists ? said.lists[said.shots[at]].length : 0);
        });
        lines.push(line);
      });
      if (!whole) { return; }
      // A text that a spreadsheet would take for a formula gets an apostrophe.
      const safe = (value) => (typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? "'" + value : value === null ? "" : String(value));
      const quoted = (value) => (/[",\r\n]/.test(value) ? '"' + value.replace(/"/g, '""') + '"' : value);
      const text = "\ufeff" + lines.map((line) => line.map((value) => quoted(safe(value))).join(",") + "\r\n").join("");
      const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
      el("a", { href: url, download: "examples.csv" }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
    }

    listen() {
      const on = (name, kind, act) => { const found = this.one(name); if (found) { found.addEventListener(kind, act); } };
      const enabled = (act) => (event) => { if (event.currentTarget.getAttribute("aria-disabled") !== "true") { act(); } };
      const change = (part) => { Object.assign(this.state, part); this.refresh(); };
      on("presets", "change", (event) => change({ preset: event.target.value }));
      ["a", "b"].forEach((name) => on(name, "change", (event) => change({ [name]: Number(event.target.value) })));
      ["expected", "predicted", "slice"].forEach((name) => on(name, "change", (event) => change({ [name]: event.target.value })));
      let late = 0;
      on("query", "input", (event) => { const query = event.target.value; clearTimeout(late); late = setTimeout(() => change({ query }), WAIT_MS); });
      on("clear", "click", () => change(this.plain));
      on("save", "click", () => this.save());
      on("back", "click", enabled(() => { this.page--; this.draw(); }));
      on("on", "click", enabled(() => { this.page++; this.draw(); }));
      on("prior", "click", enabled(() => this.step(-1)));
      on("next", "click", enabled(() => this.step(1)));
      on("close", "click", () => this.one("dialog").close());
      on("dialog", "close", () => this.closed());
      on("dialog", "click", (event) => { if (event.target === this.one("dialog")) { this.one("dialog").close(); } });
      on("dialog", "keydown", (event) => {
        const by = { ArrowLeft: -1, PageUp: -1, ArrowRight: 1, PageDown: 1 }[event.key];
        if (by && !event.altKey && !event.ctrlKey && !event.metaKey) { event.preventDefault(); this.step(by); }
      });
      this.root.querySelector(".x-live table").addEventListener("click", (event) => {
        const line = event.target.closest("tr[data-row]");
        if (line && !String(getSelection())) { this.show(Number(line.dataset.row)); }
      });
    }
  }

  const roots = Array.from(document.querySelectorAll(".explorer"));
  if (!roots.length || !("DecompressionStream" in window)) { return; }
  Promise.all(roots.map(async (root) => { const made = new Explorer(root); await made.start(); return made; })).then((made) => {
    const go = (hash) => made[0].follow(hash);
    performance.mark("explorer");
    document.addEventListener("click", (event) => {
      const link = event.target.closest && event.target.closest('a[href^="#f="], a[href^="#s="]');
      if (link) { event.preventDefault(); history.pushState(null, "", link.getAttribute("href")); go(link.getAttribute("href")); }
    });
    addEventListener("hashchange", () => go(location.hash));
    go(location.hash);
  });
})();

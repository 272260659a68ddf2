// The calculator: fields -> Decision.decide -> one sentence and five figures, with a link that brings them back.
(function () {
  "use strict";
  const box = document.querySelector("details.calculator");
  if (!box) { return; }
  const island = JSON.parse(box.querySelector("script").textContent);
  const run = island.run, words = island.words, fill = Decision.fill, known = Decision.start(run);
  const pick = (selector) => [...box.querySelectorAll(selector)];
  const fields = Object.fromEntries(pick(".field [data-key]").map((field) => [field.dataset.key, field]));
  const shown = Object.fromEntries(pick("dd[data-key]").map((cell) => [cell.dataset.key, cell]));
  const inputs = Object.entries(fields).filter((pair) => pair[1].tagName === "INPUT");
  const link = box.querySelector(".permalink"), answer = box.querySelector(".answer");
  const own = (key) => Object.prototype.hasOwnProperty.call(fields, key);
  const against = () => own("against") ? fields.against.value : known.against;
  const sides = () => ({ a: run.arm, b: against() });
  const plain = (value) => value === null ? "" : String(Number(value.toPrecision(12)));

  // What a field holds as long as nobody has changed it
  function standard(key) {
    const side = sides()[key[0]], price = key[1] === "_" ? run.arms[side].price : null;
    if (key === "requests" || key === "months") { return plain(known[key]); }
    if (key === "cache") { return known.cache_hit === null ? "" : plain(known.cache_hit * 100); }
    if (key === "error") { return plain(known.error_usd); }
    if (key.endsWith("_1k")) { return plain(run.arms[side].usd_per_1k); }
    return price === null ? "" : plain(price[key.slice(2)]);
  }

  // Which fields apply to the two arms, and what they are called
  function dress() {
    const pair = sides(), pays = {};
    Object.keys(pair).forEach((side) => {
      const arm = run.arms[pair[side]], tokens = arm.model !== null;
      // Arms of one model have one price, and one pair of fields for it
      const twin = side === "b" && tokens && arm.model === run.arms[pair.a].model;
      ["input", "output"].forEach((kind) => { pays[side + "_" + kind] = tokens && !twin; });
      pays[side + "_1k"] = !tokens && !arm.here;
      ["input", "output", "1k"].forEach((kind) => {
        name(side + "_" + kind, fill(island.fields[kind], { arm: pair[side] }));
      });
    });
    pays.hour = Object.values(pair).some((each) => run.arms[each].here);
    name("hour", island.fields.hour);
    Object.keys(pays).forEach((key) => { fields[key].closest(".field").hidden = !pays[key]; });
    fields.cache.closest(".field").hidden = !Object.values(pair).some((each) => {
      const arm = run.arms[each];
      return arm.price !== null && arm.price.cached_input !== null && arm.tokens.cacheable > 0;
    });
    inputs.forEach((pair) => { pair[1].placeholder = words.as_run; });
    if (known.requests === null) { fields.requests.placeholder = ""; }
    if (known.error_usd === null) { fields.error.placeholder = run.assumed.by_label ? words.as_labels : "0"; }
  }
  function name(key, text) { fields[key].closest(".field").firstElementChild.textContent = text; }

  // The number in a field; null where it is empty, undefined where it is none
  function read(key) {
    const field = fields[key];
    if (field.closest(".field").hidden) { return null; }
    if (field.value.trim() === "" && !field.validity.badInput) { return null; }
    // In no months nothing could be saved, and that would be no shutdown's fault
    const value = Number(field.value), least = key === "months" && !ended() ? Number.MIN_VALUE : 0;
    return field.validity.badInput || !(value >= least && value <= Number(field.max)) ? undefined : value;
  }

  function given() {
    const pair = sides(), found = Object.assign(Decision.start(run), { against: pair.b });
    const values = {};
    for (const [key, field] of inputs) {
      values[key] = read(key);
      field.setAttribute("aria-invalid", String(values[key] === undefined));
      if (values[key] === undefined) { found.bad = found.bad || field; }
    }
    if (found.bad) { return found; }
    if (values.requests !== null) { found.requests = values.requests; }
    if (values.months !== null) { found.months = values.months; }
    if (changed("cache")) { found.cache_hit = values.cache === null ? null : values.cache / 100; }
    if (values.error !== null && changed("error")) { found.error_usd = values.error; }
    found.hour_usd = values.hour;
    ["a", "b"].forEach((side) => {
      const arm = run.arms[pair[side]], price = {};
      ["input", "output"].forEach((kind) => {
        const key = side + "_" + kind;
        if (values[key] !== null && changed(key)) { price[kind] = values[key]; }
      });
      if (Object.keys(price).length) { found.prices[arm.model] = price; }
      if (values[side + "_1k"] !== null && changed(side + "_1k")) { found.per_1k[pair[side]] = values[side + "_1k"]; }
    });
    return found;
  }
  const changed = (key) => fields[key].value.trim() !== standard(key);

  const ended = () => run.months_until_shutdown !== null && run.months_until_shutdown <= 0;

  const missed = () => Object.values(sides()).every((each) => run.arms[each].wrong !== null);

  function amount(value, unit) { return unit === "usd" ? Decision.dollars(value) : Decision.duration(value, words); }
  function counted(n, forms) { return fill(forms[n === 1 ? 0 : 1], { n: Decision.number(n) }); }
  function span(months) {
    const days = Math.ceil(months * run.constants.days_per_month);
    if (months < 2) { return months === 1 ? counted(1, words.months) : counted(days, words.days); }
    return fill(words.months[1], { n: Decision.number(months, months < 100 ? 1 : 0).replace(/\.0$/, "") });
  }

  function sentence(want, now) {
    const machine = now.unit === "usd" ? "" : "_machine", total = now.total_saving;
    const values = {
      arm: run.arm, against: want.against, invested: amount(now.invested, now.unit), months: span(now.months),
      volume: want.requests === null ? "" : Decision.number(want.requests),
      saving: amount(now.saving_per_1k, now.unit),
      more: now.saving_per_1k === null ? "" : amount(-now.saving_per_1k, now.unit),
      total: total === null ? "" : amount(Math.abs(total), now.unit),
    };
    if (!now.comparable) { return fill(words.unknown, values); }
    if (now.invested === null) { return fill(words.untrained, values); }
    if (now.level && !(total > 0)) { return fill(words["level" + machine], values); }
    if (now.saving_per_1k <= 0 && !(total > 0)) { return fill(words["dearer" + machine], values); }
    if (now.months === 0) { return fill(words.ended, values); }
    if (total === null) { return fill(words.volume, values); }
    return fill(words[(total > 0 ? "pays" : "pays_not") + machine], values);
  }

  function show() {
    let want = given();
    Object.values(shown).forEach((cell) => { cell.textContent = "–"; });
    if (want.bad) {
      const label = want.bad.closest(".field").firstElementChild.textContent;
      const wrong = want.bad === fields.months ? words.bad_months : words.bad;
      answer.textContent = fill(wrong, { field: label, most: Decision.number(Number(want.bad.max)) });
      return;
    }
    let now = Decision.decide(run, want);
    // Errors cost dollars: beside seconds of a machine they count for nothing
    const error = fields.error.closest(".field"), counts = now.unit === "usd" && missed();
    if (error.hidden === counts) {
      error.hidden = !counts;
      want = given();
      if (want.bad) { return show(); }
      now = Decision.decide(run, want);
    }
    answer.textContent = sentence(want, now);
    ["saving_per_1k", "monthly_saving", "total_saving"].forEach((key) => {
      shown[key].textContent = amount(now[key], now.unit);
    });
    if (now.comparable && now.invested !== null) {
      shown.requests.textContent = now.requests === null ? words.never : counted(now.requests, words.requests);
      const months = now.months_to_break_even;
      if (months !== null) {
        shown.months_to_break_even.textContent = span(months);
        if (now.break_even_date) {
          const small = document.createElement("small");
          small.textContent = fill(words.on, { date: now.break_even_date });
          shown.months_to_break_even.append(small);
        }
      } else if (now.monthly_saving !== null) { shown.months_to_break_even.textContent = words.never; }
    }
    keep();
  }

  // "#d=requests:50000,against:8-shot": what differs from the run
  function keep() {
    const parts = [];
    if (against() !== known.against) { parts.push(["against", against()]); }
    inputs.forEach(([key, field]) => {
      if (!field.closest(".field").hidden && changed(key)) { parts.push([key, field.value.trim()]); }
    });
    const hash = "#d=" + parts.map((part) => part.map(encodeURIComponent).join(":")).join(",");
    link.setAttribute("href", hash);
    if (!parts.length && !location.hash.startsWith("#d=")) { return; }
    try { history.replaceState(null, "", hash); } catch (e) { /* a sandboxed page has no history */ }
  }

  function reset() {
    if (own("against")) { fields.against.value = known.against; }
    refill();
  }
  function refill() {
    dress();
    inputs.forEach(([key, field]) => { field.value = standard(key); });
  }

  function restore() {
    if (!location.hash.startsWith("#d=")) { return false; }
    reset();
    const parts = location.hash.slice(3).split(",").map((part) => part.split(":").map(decoded));
    const side = parts.find((part) => part[0] === "against");
    if (side && own("against") && [...fields.against.options].some((option) => option.value === side[1])) {
      fields.against.value = side[1];
      refill();
    }
    parts.forEach(([key, value]) => {
      if (key !== "against" && own(key) && value !== undefined) { fields[key].value = value; }
    });
    box.open = true;
    return true;
  }
  function decoded(text) { try { return decodeURIComponent(text); } catch (e) { return ""; } }

  box.hidden = false;
  inputs.forEach((pair) => { pair[1].addEventListener("input", show); });
  if (own("against")) {
    fields.against.addEventListener("change", () => {
      const common = ["requests", "months", "cache", "error", "hour"], kept = common.map((key) => fields[key].value);
      refill();
      common.forEach((key, place) => { fields[key].value = kept[place]; });
      show();
    });
  }
  box.querySelector(".reset").addEventListener("click", () => { reset(); show(); });
  addEventListener("hashchange", () => { if (restore()) { show(); box.scrollIntoView(); } });
  reset();
  const linked = restore();
  show();
  if (linked) { box.scrollIntoView(); }
})();

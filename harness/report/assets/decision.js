// The decision under other assumptions: the formulas of harness/scoring, from the same figures.
const Decision = (function () {
  "use strict";

  // Price.by_kind
  function byKind(price) {
    const own = (kind, other) => price[kind] === null ? price[other] : price[kind];
    return {
      input: price.input, cached_input: own("cached_input", "input"), cache_write: own("cache_write", "input"),
      output: price.output, reasoning: own("reasoning", "output"),
    };
  }

  // USD for 1,000 requests from mean tokens, as the arm's were bought: costs.priced, costs.as_bought
  function priced(arm, price, hit) {
    const t = arm.tokens, each = byKind(price);
    if (t.input === null || t.output === null || price.input === null || price.output === null) { return null; }
    for (const [kind, share] of Object.entries(arm.price_shares || {})) { each[kind] *= share; }
    const cached = hit === null ? t.cached : hit * t.cacheable;
    const written = hit === null ? 0 : (1 - hit) * t.cacheable;
    const spent = (t.input - cached - written) * each.input + cached * each.cached_input + written * each.cache_write;
    return (spent + (t.output - t.reasoning) * each.output + t.reasoning * each.reasoning) / 1e6 * 1000;
  }

  // An arm under other prices: judging._repriced
  function repriced(name, arm, given) {
    const now = Object.assign({}, arm), asked = arm.model !== null && given.prices[arm.model];
    const trained = arm.trained && Object.assign({}, arm.trained);
    now.trained = trained;
    if (asked) {
      now.price = Object.assign({}, arm.price, asked);
      const before = byKind(arm.price), after = byKind(now.price);
      if (Object.keys(after).some((kind) => after[kind] !== before[kind])) {
        now.usd_per_1k = priced(arm, now.price, null);
      }
    } else if (given.hour_usd !== null && arm.here) {
      const bill = (seconds) => seconds === null ? null : seconds / 3600 * given.hour_usd;
      now.usd_per_1k = bill(arm.machine_s_per_1k);
      if (trained && trained.machine_s !== null) { trained.usd = bill(trained.machine_s); }
      if (trained) {  // judging._rechosen
        const took = trained.search.machine_s;
        trained.search = { usd: { total: bill(took.total), known: bill(took.known) }, machine_s: took };
      }
    }
    if (!asked && name in given.per_1k) { now.usd_per_1k = given.per_1k[name]; }
    return now;
  }

  // costs.usd_per_1k
  function usd(arm, hit) {
    const price = arm.price;
    const applies = hit !== null && price !== null && price.cached_input !== null && arm.tokens.cacheable > 0;
    return applies ? priced(arm, price, hit) : arm.usd_per_1k;
  }

  // costs.errors_usd_per_1k
  function errors(arm, given, byLabel) {
    if (arm.wrong === null || (given.error_usd === null && !byLabel)) { return null; }
    return (given.error_usd === null ? arm.wrong_usd : arm.wrong * given.error_usd) / arm.n * 1000;
  }

  // costs.Bills
  function bills(a, b, given, run) {
    const dollars = [usd(a, given.cache_hit), usd(b, given.cache_hit)];
    const seconds = [a.machine_s_per_1k, b.machine_s_per_1k];
    const known = (pair) => pair[0] !== null && pair[1] !== null;
    const unit = known(dollars) ? "usd" : known(seconds) ? "machine_s" : null;
    if (unit === null) { return { unit, saving: null, counted: 0, level: false }; }
    const wrong = [a, b].map((arm) => errors(arm, given, run.assumed.by_label));
    const totals = (unit === "usd" ? dollars : seconds).map(
      (each, place) => unit === "usd" && known(wrong) ? each + wrong[place] : each);
    const saving = totals[1] - totals[0], most = Math.max(totals[0], totals[1]);
    const level = most < run.constants.negligible[unit] ||
      Math.abs(saving) < run.constants.same[unit] * most || saving === 0;
    return { unit, saving, level, counted: level ? 0 : saving };
  }

  // investment.fixed_cost
  function fixed(trained, unit) {
    const training = trained[unit], search = trained.search[unit];
    if (training === null) { return null; }
    const sought = search.total === null ? search.known || 0 : Math.max(0, search.total - training);
    return training + sought + (unit === "usd" ? trained.rest_usd : 0);
  }

  // investment.recurring
  function monthly(arm, unit, run) {
    const money = unit === "usd", trained = arm.trained, price = arm.price;
    const hour = money && price !== null ? (price.hosting_hour || 0) * run.constants.hours_per_month : 0;
    if (!trained) { return hour; }
    const again = trained.retrainings_per_year / 12 * (trained[unit] || 0);
    return hour + again + (money ? trained.hosting_usd + trained.by_hand_usd : 0);
  }

  // projection._after
  function after(run, months) {
    if (months > run.constants.farthest_months || run.today === null) { return null; }
    const day = Date.parse(run.today + "T00:00:00Z") + Math.ceil(months * run.constants.days_per_month) * 864e5;
    return new Date(day).toISOString().slice(0, 10);
  }

  // payback._whole
  const whole = (requests) => Math.ceil(requests * (1 - 1e-12) - 1e-9);

  /**
   * Decides anew: what `harness decide` gives for the same assumptions.
   * @param run What the page carries of the run (harness/scoring/coefficients.py).
   * @param given against, requests, months, cache_hit, error_usd, prices, hour_usd, per_1k; null is as in the run.
   */
  function decide(run, given) {
    const sides = [run.arm, given.against].map((name) => repriced(name, run.arms[name], given));
    const bill = bills(sides[0], sides[1], given, run), unit = bill.unit || "usd";
    const invested = fixed(sides[0].trained, unit), left = run.months_until_shutdown;
    const months = left === null ? given.months : Math.min(given.months, Math.max(left, 0));
    const found = {
      unit, invested, months, comparable: bill.unit !== null, level: bill.level, saving_per_1k: bill.saving,
      requests: null, monthly_saving: null, total_saving: null, months_to_break_even: null, break_even_date: null,
    };
    if (bill.unit === null || invested === null) { return found; }
    if (bill.counted > 0) { found.requests = whole(invested / bill.saving * 1000); }
    if (given.requests === null) { return found; }
    const upkeep = monthly(sides[0], unit, run) - monthly(sides[1], unit, run);
    found.monthly_saving = given.requests * bill.counted / 1000 - upkeep;
    found.total_saving = found.monthly_saving * months - invested;
    if (found.monthly_saving > 0) {
      found.months_to_break_even = invested / found.monthly_saving;
      found.break_even_date = after(run, found.months_to_break_even);
    }
    return found;
  }

  // What the run assumed, as the calculator starts
  function start(run) {
    return {
      against: run.against, requests: run.assumed.requests_per_month, months: run.assumed.horizon_months,
      cache_hit: run.assumed.cache_hit, error_usd: run.assumed.error_usd, prices: {}, hour_usd: null, per_1k: {},
    };
  }

  // Numbers as harness/numbers.py writes them
  const MINUS = "\u2212", MISSING = "\u2013";
  function number(x, digits) {
    const parts = Math.abs(x).toFixed(digits || 0).split(".");
    const text = parts[0].replace(/\B(?=(\d{3})+$)/g, ",") + (parts[1] ? "." + parts[1] : "");
    return /[1-9]/.test(text) && x < 0 ? MINUS + text : text;
  }
  const twoSignificant = (size) => Math.min(1 - Number(size.toExponential(1).split("e")[1]), 12);
  function dollars(x) {
    if (x === null) { return MISSING; }
    const size = Math.abs(x);
    const digits = size >= 9999.5 ? 0 : size >= 0.00995 || size === 0 ? 2 : twoSignificant(size);
    return (x < 0 ? MINUS : "") + "$" + number(size, digits);
  }
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (all, key) => key in values ? values[key] : all);
  function duration(x, words) {
    if (x === null) { return MISSING; }
    const size = Math.abs(x);
    if (size < 119.5) {
      const digits = size >= 9.95 || !size ? 0 : size >= 0.95 ? 1 : Math.min(twoSignificant(size), 6);
      return fill(words.s, { n: number(x, digits) });
    }
    const minutes = Math.round(size / 60), sign = x < 0 ? MINUS : "";
    if (minutes < 60) { return fill(words.min, { n: sign + minutes }); }
    const hours = sign + number(Math.floor(minutes / 60)), rest = minutes % 60;
    return rest ? fill(words.h_min, { hours, minutes: rest }) : fill(words.h, { n: hours });
  }

  return { decide, start, number, dollars, duration, fill };
})();

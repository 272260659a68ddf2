"""`harness estimate`: what an experiment takes, before anything is spent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.commands.shared import Finite, command, opened, out_option, plugin_options, say_json, screen_width
from harness.plugins.asides import spared_stdout

if TYPE_CHECKING:
    from harness.estimation.estimate import ArmEstimate, Band, Estimate


@command("harness estimate experiment.toml --probe")
@click.argument("experiment", type=click.Path(path_type=Path))
@click.option("--probe", is_flag=True, help="Ask three validation items of each arm: key, parser, logprobs, usage.")
@out_option
@click.option("--limit", type=click.IntRange(min=2), metavar="N", help="Of a preview on N test items.")
@click.option("--max-usd", type=Finite(min=0), metavar="X", help="Hold it against X dollars.")
@click.option("--quiet", is_flag=True, help="Say nothing but the result.")
@click.option("--json", "as_json", is_flag=True, help="The estimate as one JSON object.")
@plugin_options
def estimate(experiment: Path, probe: bool, quiet: bool, as_json: bool, **options: Any) -> None:
    """Say what a run takes: tokens, dollars, time, what it can show."""
    from harness.console import Console
    from harness.errors import GateError, UsageError
    from harness.estimation.stage import estimate as carry_out
    from harness.numbers import usd

    loaded, settings = opened(experiment, options)
    with spared_stdout(), Console(quiet=quiet) as console:
        found = carry_out(loaded, settings, console, probe=probe)
    if as_json:
        say_json(found.as_dict())
    else:
        _tell(found)
    broken = [one for one in found.probe or () if one["works"] is False]
    if broken:
        first = broken[0]
        raise UsageError(f"{first['arm']} cannot work: {first['error']}", first["cure"] or "")
    if found.over_budget and found.usd is not None:
        raise GateError(
            f"it may cost up to {usd(found.spent_usd + found.usd.high)}, more than the budget of {usd(found.max_usd)}",
            "raise budget.max_usd or --max-usd, or make the experiment smaller; a run never passes its budget",
        )


def _tell(found: Estimate) -> None:
    from rich.console import Console as RichConsole

    terminal = RichConsole(width=screen_width(), highlight=False, markup=False)
    terminal.print(_table(found))
    for line in _lines(found):
        click.echo(line)


def _table(found: Estimate) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD if screen_width() is None else None, pad_edge=False)
    table.add_column("arm")
    for title in ("requests", "there already", "tokens in", "tokens out", "training tokens", "dollars", "time"):
        table.add_column(title, justify="right", no_wrap=True)
    for arm in found.arms:
        table.add_row(*_row(arm))
    return table


def _row(arm: ArmEstimate) -> tuple[str, ...]:
    from harness.numbers import MISSING, count, duration

    load, training = arm.load, arm.training
    if arm.endpoint is None:
        return arm.name, "0", MISSING, MISSING, MISSING, MISSING, MISSING, duration(arm.seconds)
    return (
        arm.name,
        count(load.requests),
        count(load.known),
        count(load.input_tokens),
        _band(load.output_tokens, count),
        MISSING if training is None else count(training.tokens),
        MISSING if arm.usd is None else _dollars(arm.usd),
        duration(arm.seconds),
    )


def _band(band: Band, write: Any) -> str:
    if band.low == band.high:
        return str(write(band.low))
    expected = "" if band.expected is None else f"{write(band.expected)} "
    return f"{expected}({write(band.low)}–{write(band.high)})"


def _dollars(band: Band) -> str:
    from harness.numbers import usd

    return usd(band.low) if usd(band.low) == usd(band.high) else _band(band, usd)


def _lines(found: Estimate) -> Iterator[str]:
    from harness.numbers import count, points

    for arm in found.arms:
        if arm.usd is None and arm.endpoint is not None:
            yield f"{arm.name}: no dollars: {arm.usd_reason}{_price_hint(arm)}"
    power, smallest = found.power, found.power["smallest_difference"]
    if smallest is not None:
        yield (
            f"{count(power['test'])} test items show a difference of {points(smallest, signed=False)} "
            f"(80% power, arms that differ on {power['assumed_discordance']:.0%}); the margin of "
            f"{100 * power['margin']:g} points takes {count(power['needed_for_margin'])}"
        )
    yield from map(_payback, found.payback)
    for model, date in found.shutdown.items():
        if date is not None:
            yield f"{model} is shut down on {date}"
    for one in found.probe or ():
        yield _probe(one)
    for remark in found.remarks:
        yield f"uncertain: {remark}"
    yield _total(found)


def _price_hint(arm: ArmEstimate) -> str:
    from harness.estimation.estimate import NO_PRICE

    if arm.usd_reason != NO_PRICE:
        return ""
    model = f"ft:{arm.model}" if arm.training is not None else arm.model
    also = f', and training in [prices."{arm.model}"]' if arm.training is not None else ""
    return f'; [prices."{model}"] gives input and output in USD for a million tokens{also}'


def _payback(line: Mapping[str, Any]) -> str:
    from harness.numbers import count
    from harness.report.facts import amount, never_paid_back, paid_back_after, with_monthly

    pair = f"{line['arm']} against {line['against']}, were they equally accurate"
    if line["requests"] is None:
        told = "never pays back" if never_paid_back(line) else "payback not known"
        return f"{pair}: {told}. {line['reason']}"
    saved = amount(line["saving_per_1k"], line["unit"])
    n, monthly = paid_back_after(line), with_monthly(line)
    if n is None:
        return f"{pair}: never pays back {monthly}, for what recurs each month ({saved} saved per 1,000)"
    after = f"{count(n)} requests" + (f", {monthly}" if monthly else "")
    return f"{pair}: pays back after {after} ({saved} saved per 1,000)"


def _probe(one: Mapping[str, Any]) -> str:
    from harness.numbers import ms

    name = f"probe of {one['arm']}" + "".join(f", {key} = {value}" for key, value in one["settings"].items())
    if one["skipped"]:
        return f"{name}: not asked, {one['skipped']}"
    if one["error"]:
        return f"{name}: FAILS: {one['error']}" + (f"; {one['cure']}" if one["cure"] else "")
    usage = "usage is counted" if one["usage"] else "no usage: tokens will be estimated"
    seen = [f"{one['answered']} of {one['asked']} answers parsed", usage]
    if one["logprobs"] is not None:
        seen.append("log-probabilities come" if one["logprobs"] else "no log-probabilities")
    if one["cached_tokens"] is not None:
        seen.append(f"up to {one['cached_tokens']:,} cached tokens")
    if one["reasoning_tokens"]:
        seen.append(f"up to {one['reasoning_tokens']:,} reasoning tokens")
    if one["truncated"]:
        seen.append(f"{one['truncated']} cut by the token limit")
    outputs = [tokens for tokens in one["output_tokens"] if tokens is not None]
    if outputs:
        seen.append(f"{min(outputs)}–{max(outputs)} output tokens")
    seen.append(ms(one["latency_s"]))
    return f"{name}: {', '.join(seen)}" + (f"; {one['cure']}" if one["cure"] else "")


def _total(found: Estimate) -> str:
    from harness.numbers import counted, duration, usd

    load = found.load
    said = [f"total: {counted(load.requests, 'request')}"]
    if load.known:
        said.append(f"{counted(load.known, 'answer')} there already")
    said.append("no dollars" if found.usd is None else _dollars(found.usd))
    if found.usd is not None and found.unpriced:
        said.append(f"without {', '.join(found.unpriced)}, whose price is not known")
    if found.probe_usd:
        said.append(f"{usd(found.probe_usd)} of it for this probe")
    if found.max_usd is not None:
        spent = f", {usd(found.spent_usd)} of it spent" if found.spent_usd else ""
        said.append(f"budget {usd(found.max_usd)}{spent}")
    said.append("time not known" if found.seconds is None else f"about {duration(found.seconds)}")
    return ", ".join(said)

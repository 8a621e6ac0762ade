"""Which orders and rules hold for a request: scope, expiry, undoing, and who allowed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.errors import UsageError
from casemate.guard.mitigations.step import Directive
from casemate.guard.mitigations.table import NOT_THE_MODELS_OWN, mitigations
from casemate.records.duration import seconds
from casemate.records.order import Scope

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from casemate.guard.keys import Keys
    from casemate.guard.mitigations.step import Asked, Settings, Step
    from casemate.guard.policy import RuleTable
    from casemate.records.order import Order

FOREVER = 1 << 62


class Orders:
    """The active orders, the policy's rules, and the mitigations that carry them out."""

    def __init__(self, rules: Sequence[RuleTable], keys: Keys) -> None:
        """Prepare the rules.

        Raises:
            UsageError: A duration, an action's settings or an approver that cannot be.
        """
        self._does = mitigations(keys)
        self._always: list[Directive] = []
        self._general: list[Directive] = []
        self._personal: dict[str, list[Directive]] = {}
        self.misunderstood: dict[str, str] = {}
        """Orders that are not obeyed, by id, and why."""
        for place, rule in enumerate(rules):
            if rule.action == "log":
                continue
            name = f"rule-{place + 1}"
            if rule.action in NOT_THE_MODELS_OWN and not rule.approver:
                raise UsageError(f"guard.{name}: '{rule.action}' needs a named approver")
            why = self._wrong(rule.action, rule.settings)
            if why:
                raise UsageError(f"guard.{name}: {why}")
            settings = self._settings(rule.action, rule.settings)
            seconds(rule.for_)
            # What waits for a detection is carried out near line, by an order.
            if rule.when == "always":
                self._always.append(
                    Directive(name, rule.action, Scope(), settings, FOREVER, rule.approver)
                )
        self.obey(())

    @property
    def idle(self) -> bool:
        """Whether there is nothing to carry out."""
        return not (self._always or self._general or self._personal)

    def obey(self, orders: Sequence[Order]) -> None:
        """Replace the active orders; those undone or not understood are left out."""
        undone = {one.undoes for one in orders if one.action == "undo" and one.undoes}
        general: list[Directive] = []
        personal: dict[str, list[Directive]] = {}
        misunderstood: dict[str, str] = {}
        for one in orders:
            if one.action == "undo" or one.id in undone:
                continue
            why = self._wrong(one.action, one.settings)
            if not why and one.action in NOT_THE_MODELS_OWN and not one.approver:
                why = f"'{one.action}' needs a named approver"
            if why:
                misunderstood[one.id] = why
                continue
            made = Directive(
                one.id,
                one.action,
                one.scope,
                self._settings(one.action, one.settings),
                round(one.expires.timestamp() * 1_000_000),
                one.approver,
            )
            if one.scope.principal is None:
                general.append(made)
            else:
                personal.setdefault(one.scope.principal, []).append(made)
        self._general, self._personal, self.misunderstood = general, personal, misunderstood

    def steps(self, asked: Asked, *, spared: bool) -> Iterator[tuple[Directive, Step]]:
        """Yield what holds for a request and what it asks for.

        Args:
            asked: The request.
            spared: Whether rules leave this caller alone, as it is declared; orders never do.
        """
        for told in self._holding(asked, spared=spared):
            if told.action in NOT_THE_MODELS_OWN and not asked.approver:
                continue
            step = self._does[told.action].apply(asked, told)
            if step is not None:
                yield told, step

    def _holding(self, asked: Asked, *, spared: bool) -> Iterator[Directive]:
        now = asked.exchange.at
        if not spared:
            yield from self._always
        for told in self._general:
            if told.expires > now and _reaches(told.scope, asked):
                yield told
        for told in self._personal.get(asked.exchange.principal, ()):
            if told.expires > now and _reaches(told.scope, asked):
                yield told

    def _settings(self, action: str, given: Mapping[str, str | int | float | bool]) -> Settings:
        return {**self._does[action].defaults, **given}

    def _wrong(self, action: str, given: Mapping[str, str | int | float | bool]) -> str:
        defaults = self._does[action].defaults
        for name, value in given.items():
            if name not in defaults:
                return f"'{action}' has no setting {name!r}; it knows {', '.join(defaults)}"
            number = isinstance(defaults[name], (int, float)) and not isinstance(
                defaults[name], bool
            )
            given_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if number != given_number or (not number and type(value) is not type(defaults[name])):
                return f"'{action}': the setting {name!r} is {value!r}"
            if number and not 0 <= float(value) < float("inf"):
                return f"'{action}': the setting {name!r} is {value!r}"
        if action in ("route", "decoy") and not given.get("upstream"):
            return f"'{action}' needs the setting 'upstream'"
        return ""


def _reaches(scope: Scope, asked: Asked) -> bool:
    exchange = asked.exchange
    return (
        (scope.principal is None or scope.principal == exchange.principal)
        and (scope.session is None or scope.session == exchange.session)
        and (scope.model is None or scope.model == exchange.model)
        and (scope.route is None or scope.route == exchange.route)
        and (scope.cluster is None or any(one.cluster == scope.cluster for one in asked.measured))
    )

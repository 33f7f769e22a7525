"""Any sequence of transfers, income, syncs, claims and time: no atomic unit is lost, made or paid twice."""

from brownie.test import strategy
from conftest import DAY, SUPPLY, USD

ROLES = ("operator", "holder", "second-holder")
SEQUENCES = 10
STEPS = 12


class Ledger:
    """A share beside a ledger that knows only what went in, what was paid out, and who holds what.

    Brownie names the machine's parts by their first word: `st_` strategies feed `rule_` methods, and every
    `invariant_` is checked after each.
    """

    st_role = strategy("uint8", max_value=len(ROLES) - 1)
    st_to = strategy("uint8", max_value=len(ROLES) - 1)
    st_units = strategy("uint64", max_value=SUPPLY)
    st_income = strategy("uint256", max_value=10_000 * USD)
    st_seconds = strategy("uint32", max_value=30 * DAY)

    def __init__(cls, cast, usd, share, pass_time):
        cls.accounts = [cast[role] for role in ROLES]
        cls.customer, cls.treasury = cast["customer"], cast["treasury"]
        cls.usd, cls.share, cls.pass_time = usd, share, staticmethod(pass_time)

    def setup(self):
        self.received = self.paid = 0
        self.units = dict.fromkeys(self.accounts, 0) | {self.accounts[0]: SUPPLY}
        self.index = 0

    def rule_transfer(self, st_role, st_to, st_units):
        sender, receiver = self.accounts[st_role], self.accounts[st_to]
        units = min(st_units, self.units[sender])
        earned = self.share.claimableUsd6(sender), self.share.claimableUsd6(receiver)
        self.share.transfer(receiver, units, {"from": sender})
        self.units[sender] -= units
        self.units[receiver] += units
        # Income is not moved by a transfer; the second that its block took may have added some.
        assert self.share.claimableUsd6(sender) >= earned[0]
        assert self.share.claimableUsd6(receiver) >= earned[1]

    def rule_income(self, st_income):
        self.usd.transfer(self.share, st_income, {"from": self.customer})
        self.received += st_income

    def rule_sync(self):
        unsynced = self.share.unsyncedUsd6()
        synced = self.share.sync({"from": self.customer}).return_value
        assert synced == unsynced - unsynced % 10_000

    def rule_time(self, st_seconds):
        self.pass_time(st_seconds)

    def rule_claim(self, st_role):
        self._claim(self.accounts[st_role])

    def rule_claim_credits(self):
        operator_credit, protocol_credit = self.share.credits()
        if operator_credit:
            self._pays(operator_credit, self.share.claimOperatorCredit({"from": self.customer}))
        if protocol_credit:
            self._pays(protocol_credit, self.share.claimProtocolCredit({"from": self.customer}))

    def invariant_every_unit_is_somewhere(self):
        held = self.usd.balanceOf(self.share)
        assert held == self.received - self.paid
        assert held == self.share.reservoir()["accountedUsd6"] + self.share.unsyncedUsd6()

    def invariant_what_is_owed_is_there(self):
        owed = sum(self.share.claimableUsd6(account) for account in self.accounts) + sum(self.share.credits())
        assert owed <= self.share.reservoir()["accountedUsd6"]

    def invariant_shares_are_where_the_ledger_has_them(self):
        assert [self.share.balanceOf(account) for account in self.accounts] == list(self.units.values())
        assert self.share.totalSupply() == SUPPLY == sum(self.units.values())

    def invariant_the_index_never_falls(self):
        index = self.share.indexX48()
        assert index >= self.index
        self.index = index

    def teardown(self):
        """When everything has drained and everyone has claimed, what is left is dust."""
        self.share.sync({"from": self.customer})
        self.pass_time(300 * DAY)
        for account in self.accounts:
            self._claim(account)
        self.rule_claim_credits()
        # Each sync leaves less than one unit behind, and so does each account's last claim.
        assert self.share.reservoir()["accountedUsd6"] <= STEPS + 1 + len(self.accounts)
        assert self.share.unsyncedUsd6() < 10_000
        self.invariant_every_unit_is_somewhere()

    def _claim(self, account):
        if self.share.claimableUsd6(account):
            paid = self.share.claim({"from": account})
            self._pays(paid.return_value, paid)

    def _pays(self, amount, transaction):
        (transfer,) = (e for e in transaction.events["Transfer"] if e["from"] == self.share)
        assert transfer["amount"] == amount
        self.paid += amount


def test_income_is_conserved(state_machine, cast, usd, share, pass_time):
    settings = {"max_examples": SEQUENCES, "stateful_step_count": STEPS}
    state_machine(Ledger, cast, usd, share, pass_time, settings=settings)

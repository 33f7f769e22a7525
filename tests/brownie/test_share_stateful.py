"""Any sequence of transfers, income, syncs, claims and time: no atomic unit is lost, made or paid twice."""

from brownie.test import strategy
from conftest import DAY, SUPPLY, USD

ROLES = ("operator", "holder", "second-holder")
DEALT = (SUPPLY // 2, SUPPLY // 4, SUPPLY // 4)
FIRST_INCOME = 1_000 * USD
SEQUENCES = 8
STEPS = 8


class Books:
    """A share beside books that know only what went in, what was paid out, and who held how much when.

    Brownie names the parts by their first word: `st_` strategies feed `rule_` methods, and each `invariant_`
    is checked after every step.
    """

    st_from = strategy("uint8", max_value=len(ROLES) - 1)
    st_to = strategy("uint8", max_value=len(ROLES) - 1)
    st_units = strategy("uint64", max_value=SUPPLY)
    st_income = strategy("uint256", min_value=1, max_value=10_000 * USD)
    st_seconds = strategy("uint32", min_value=1, max_value=30 * DAY)

    def __init__(cls, cast, usd, share, pass_time):
        cls.accounts = [cast[role] for role in ROLES]
        cls.customer = cast["customer"]
        cls.usd, cls.share, cls.pass_time = usd, share, staticmethod(pass_time)

    def setup(self):
        """The machine finds the shares dealt, and income that streams already."""
        self.received, self.paid, self.index = FIRST_INCOME, 0, 0
        self.units = list(DEALT)
        self.earned_x48 = [0, 0, 0]
        self.claimed = [0, 0, 0]

    def rule_transfer(self, st_from, st_to, st_units):
        units = min(st_units, self.units[st_from])
        self.share.transfer(self.accounts[st_to], units, {"from": self.accounts[st_from]})
        self._earn()  # for whoever held the shares until this block
        self.units[st_from] -= units
        self.units[st_to] += units

    def rule_income(self, st_income):
        self.usd.transfer(self.share, st_income, {"from": self.customer})
        self.received += st_income

    def rule_income_synced(self, st_income):
        self.rule_income(st_income)
        self.rule_sync()

    def rule_sync(self):
        unsynced = self.share.unsyncedUsd6()
        assert self.share.sync({"from": self.customer}).return_value == unsynced - unsynced % 10_000

    def rule_time(self, st_seconds):
        self.pass_time(st_seconds)

    def rule_claim(self, st_from):
        if self.share.claimableUsd6(self.accounts[st_from]):
            claim = self.share.claim({"from": self.accounts[st_from]})
            self.claimed[st_from] += claim.return_value
            self._pay(claim)

    def rule_claim_credits(self):
        operator_credit, protocol_credit = self.share.credits()
        if operator_credit:
            self._pay(self.share.claimOperatorCredit({"from": self.customer}))
        if protocol_credit:
            self._pay(self.share.claimProtocolCredit({"from": self.customer}))

    def invariant_every_unit_is_somewhere(self):
        held = self.usd.balanceOf(self.share)
        assert held == self.received - self.paid
        assert held == self.share.reservoir()["accountedUsd6"] + self.share.unsyncedUsd6()

    def invariant_everyone_earns_by_what_they_held(self):
        self._earn()
        for account, earned_x48, claimed in zip(self.accounts, self.earned_x48, self.claimed, strict=True):
            due = (earned_x48 >> 48) - claimed
            # Each touch of an account rounds down by less than 2^-16 of a unit.
            assert due - 1 <= self.share.claimableUsd6(account) <= due

    def invariant_what_is_owed_is_there(self):
        owed = sum(self.share.claimableUsd6(account) for account in self.accounts) + sum(self.share.credits())
        assert owed <= self.share.reservoir()["accountedUsd6"]

    def invariant_shares_are_where_the_books_have_them(self):
        assert [self.share.balanceOf(account) for account in self.accounts] == self.units
        assert self.share.totalSupply() == SUPPLY

    def teardown(self):
        """When everything has drained and everyone has claimed, what is left is dust."""
        self.rule_sync()
        self.pass_time(300 * DAY)
        for number in range(len(self.accounts)):
            self.rule_claim(number)
        self.rule_claim_credits()
        self.invariant_every_unit_is_somewhere()
        # Each sync leaves less than one unit behind, and so does each account's last claim.
        assert self.share.reservoir()["accountedUsd6"] <= STEPS + 1 + len(self.accounts)

    def _earn(self):
        """The books follow the index to the latest block."""
        index = self.share.indexX48()
        assert index >= self.index
        for number, units in enumerate(self.units):
            self.earned_x48[number] += units * (index - self.index)
        self.index = index

    def _pay(self, claim):
        (transfer,) = (event for event in claim.events["Transfer"] if event["from"] == self.share)
        assert transfer["amount"] == claim.return_value
        self.paid += claim.return_value


def test_income_is_conserved(state_machine, cast, usd, share, earn, pass_time):
    for role, units in zip(ROLES[1:], DEALT[1:], strict=True):
        share.transfer(cast[role], units, {"from": cast["operator"]})
    earn(FIRST_INCOME)
    pass_time(DAY)
    settings = {"max_examples": SEQUENCES, "stateful_step_count": STEPS}
    state_machine(Books, cast, usd, share, pass_time, settings=settings)

"""Claims: the vouchers that a gateway holds become money of the receiver's."""

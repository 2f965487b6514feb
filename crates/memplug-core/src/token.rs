//! The right to change block states and to send events.
//!
//! A [`TxnToken`] is minted by the transaction module alone (the layer check knows) and asked
//! for by [`Block::apply`](crate::block::Block) and by the chain's dispatch. It says nothing at
//! run time; it keeps the rest of the code from going around the transactions.

/// Proof that a transaction is under way.
pub(crate) struct TxnToken(());

impl TxnToken {
    /// For `txn` only.
    pub(crate) fn mint() -> Self {
        Self(())
    }

    #[cfg(test)]
    pub(crate) fn for_test() -> Self {
        Self(())
    }
}

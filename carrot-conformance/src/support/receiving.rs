use carrot_core::backend::{Delivery, Subscription};

use super::waiting::{DEADLINE, QUIET, body, readable};

/// The actions of a case on a subscription. Each of them panics on an unexpected result.
pub(crate) trait Receiving {
    fn subscription(&self) -> &dyn Subscription;

    /// Blocks until the next delivery.
    #[track_caller]
    fn next_delivery(&self) -> Delivery {
        match self.subscription().next(DEADLINE) {
            Ok(Some(delivery)) => readable(delivery),
            Ok(None) => panic!("no delivery within {DEADLINE:?}"),
            Err(error) => panic!("next: {error:?}"),
        }
    }

    /// Blocks until the next delivery, and asserts its body.
    #[track_caller]
    fn expect(&self, expected: &str) -> Delivery {
        let delivery = self.next_delivery();
        assert_eq!(body(&delivery), expected, "the body of the next delivery");
        delivery
    }

    /// Blocks until deliveries with these bodies, in this order.
    #[track_caller]
    fn expect_all<const COUNT: usize>(&self, expected: [&str; COUNT]) {
        for body in expected {
            self.expect(body);
        }
    }

    /// Asserts that no delivery arrives for a tenth of a second.
    #[track_caller]
    fn expect_nothing(&self) {
        match self.subscription().next(QUIET) {
            Ok(None) => {}
            Ok(Some(delivery)) => panic!("an unexpected delivery: {:?}", body(&delivery)),
            Err(error) => panic!("next: {error:?}"),
        }
    }
}

impl Receiving for dyn Subscription {
    fn subscription(&self) -> &dyn Subscription {
        self
    }
}

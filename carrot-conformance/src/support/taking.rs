use super::*;

/// What a case does with a subscription, in fewer words.
pub(crate) trait Taking {
    fn this(&self) -> &dyn Subscription;

    /// Waits for the next delivery.
    #[track_caller]
    fn take(&self) -> Delivery {
        match self.this().next(DEADLINE) {
            Ok(Some(delivery)) => delivery,
            Ok(None) => panic!("no delivery came within {DEADLINE:?}"),
            Err(error) => panic!("next: {error:?}"),
        }
    }

    /// Waits for the next delivery and asserts its body.
    #[track_caller]
    fn expect(&self, wanted: &str) -> Delivery {
        let delivery = self.take();
        assert_eq!(body(&delivery), wanted, "the body of the next delivery");
        delivery
    }

    /// Waits for several deliveries in this order.
    #[track_caller]
    fn expect_all<const COUNT: usize>(&self, wanted: [&str; COUNT]) {
        for body in wanted {
            self.expect(body);
        }
    }

    /// Asserts that nothing comes for a while.
    #[track_caller]
    fn quiet(&self) {
        match self.this().next(QUIET) {
            Ok(None) => {}
            Ok(Some(delivery)) => panic!("an unexpected delivery: {:?}", body(&delivery)),
            Err(error) => panic!("next: {error:?}"),
        }
    }
}

impl Taking for dyn Subscription {
    fn this(&self) -> &dyn Subscription {
        self
    }
}

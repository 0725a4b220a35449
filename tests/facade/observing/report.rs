use carrot::layers::Metrics;
use carrot::statistics::Statistics;

use super::recorder::TestRecorder;

#[test]
fn report_shows_pauses_held_bytes_and_losses() {
    let recorder = TestRecorder::default();
    let metrics = Metrics::with_recorder(recorder.clone());
    let statistics = |held: u64, losses: u64| -> Statistics {
        serde_json::from_value(serde_json::json!({
            "publishing": {"resent": 4, "bytes_in_flight": 5},
            "consuming": {
                "held_bytes": held, "prefetch_changes": 7, "paused_messages": 8,
                "consumer_pauses": 9, "paused_consumers": 10
            },
            "connecting": {
                "publish": {"losses": losses, "reconnects": 1, "blocked": true},
                "consume": {"losses": 3, "reconnects": 3, "blocked": false}
            }
        }))
        .unwrap()
    };
    metrics.report(&statistics(100, 1));
    metrics.report(&statistics(6, 2));
    for (name, value) in [
        ("carrot.publish.resent{}", 4.0),
        ("carrot.publish.bytes_in_flight{}", 5.0),
        ("carrot.consume.held_bytes{}", 6.0),
        ("carrot.consume.prefetch_changes{}", 7.0),
        ("carrot.consume.paused_messages{}", 8.0),
        ("carrot.consume.pauses{}", 9.0),
        ("carrot.consume.paused_consumers{}", 10.0),
        ("carrot.connection.losses{carrot.role=publish}", 2.0),
        ("carrot.connection.reconnects{carrot.role=publish}", 1.0),
        ("carrot.connection.blocked{carrot.role=publish}", 1.0),
        ("carrot.connection.losses{carrot.role=consume}", 3.0),
        ("carrot.connection.blocked{carrot.role=consume}", 0.0),
    ] {
        assert_eq!(recorder.value(name), value, "{name}");
    }
}

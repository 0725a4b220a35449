#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

use carrot::memory::Broker;
use carrot::zeromq::BrokerHost;

use super::*;

#[test]
fn name_without_an_answer_leaves_time_for_the_next_host() {
    let host = BrokerHost::bind("127.0.0.1:0", &Broker::new()).unwrap();
    let address = host.address().unwrap();
    let url = format!("zmq://dead.example:1,127.0.0.1:{}", address.port());
    let options: ConnectionOptions = url.parse().unwrap();
    let timeout = Duration::from_secs(40);
    let started = Instant::now();
    let attempt = HostAttempt {
        endpoint: endpoint(&options),
        user: "guest",
        password: "guest",
        name: "",
        started,
        timeout,
        deadline: started + timeout,
    };
    attempt
        .run(&options, |name, _, left| match name {
            "dead.example" => {
                assert!(left <= timeout / 2, "{left:?}");
                Err(ErrorKind::TimedOut.into())
            }
            _ => Ok(vec![address]),
        })
        .unwrap();
    let dead: ConnectionOptions = "zmq://dead.example:1".parse().unwrap();
    let error = attempt.run(&dead, |_, _, _| Err(ErrorKind::TimedOut.into())).map(drop);
    let error = error.unwrap_err();
    let Error::Timeout { operation, .. } = &error else { panic!("{error}") };
    assert!(operation.contains("dead.example"), "{error}");
}

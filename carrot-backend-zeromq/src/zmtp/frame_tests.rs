#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

use super::*;

const LIMITS: MessageLimits = MessageLimits { head: 1000, body: 70_000 };

/// Reads octets in cuts of a size, and returns the kinds and payloads of the frames.
fn read(octets: &[u8], cut: usize) -> Result<Vec<(char, Vec<u8>)>, ZmtpError> {
    let mut reader = ZmtpFrameReader::new(LIMITS);
    let mut frames = Vec::new();
    for mut part in octets.chunks(cut) {
        while let Some(frame) = reader.read(&mut part)? {
            frames.push(match frame {
                ZmtpFrame::Command(octets) => ('c', octets.into_owned()),
                ZmtpFrame::Head { octets, has_body: false } => ('h', octets.into_owned()),
                ZmtpFrame::Head { octets, has_body: true } => ('m', octets.into_owned()),
                ZmtpFrame::Body(octets) => ('b', octets.into_owned()),
            });
        }
    }
    Ok(frames)
}

#[test]
fn frames_in_any_cut_are_the_same() {
    let mut octets = Vec::new();
    start_command(&mut octets, 3);
    octets.extend_from_slice(b"abc");
    framed(&mut octets, true, |head| head.extend_from_slice(&[7; 300]));
    start_message(&mut octets, 70_000, false);
    octets.extend_from_slice(&[8; 70_000]);
    message(&mut octets, |head| head.extend_from_slice(b"alone"));
    message(&mut octets, |_| ());
    let expected = [
        ('c', b"abc".to_vec()),
        ('m', vec![7; 300]),
        ('b', vec![8; 70_000]),
        ('h', b"alone".to_vec()),
        ('h', Vec::new()),
    ];
    for cut in [1, 2, 7, 8, 9, 10, 300, 4096, octets.len()] {
        assert_eq!(read(&octets, cut).unwrap(), expected, "cuts of {cut}");
    }
}

#[test]
fn announced_size_takes_no_memory() {
    let mut reader = ZmtpFrameReader::new(MessageLimits { head: u64::MAX, body: u64::MAX });
    let announced = (1_u64 << 40).to_be_bytes();
    let octets = [&[LONG][..], &announced, &[0; 100]].concat();
    assert_eq!(reader.read(&mut &octets[..]), Ok(None));
    assert!(reader.unfinished_bytes() <= 200, "{}", reader.unfinished_bytes());
}

#[test]
fn frames_over_their_limits_are_refused_before_they_arrive() {
    let over = |flags: u8, size: u64| [&[flags | LONG][..], &size.to_be_bytes()].concat();
    let refused = |octets: &[u8]| match read(octets, 1) {
        Err(ZmtpError::TooLarge { part, limit, .. }) => (part, limit),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&over(0, 1001)), ("the head of a message", 1000));
    assert_eq!(refused(&over(COMMAND, 10_000)), ("a command", LARGEST_COMMAND));
    let body = [&[MORE, 1, b'h'][..], &over(0, 70_001)].concat();
    assert_eq!(refused(&body), ("the body of a message", 70_000));
}

#[test]
fn malformed_frames_are_refused() {
    for flags in [8, 0x80, MORE | COMMAND, 0xFF] {
        assert_eq!(read(&[flags, 0], 1), Err(ZmtpError::Flags { flags }));
    }
    let three = [MORE, 0, MORE, 0, 0, 0];
    assert_eq!(read(&three, 6), Err(ZmtpError::TooManyFrames));
}

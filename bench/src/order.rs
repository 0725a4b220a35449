//! A typical message of a shop.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub number: u64,
    pub customer: String,
    pub email: Option<String>,
    pub total: f64,
    pub lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub article: String,
    pub quantity: u32,
    pub price: f64,
}

impl Order {
    pub fn typical(number: u64) -> Order {
        let line = |index: u32| Line { article: format!("article {index}"), quantity: index + 1, price: 9.95 * f64::from(index + 1) };
        Order {
            number,
            customer: "Erika Mustermann".into(),
            email: Some("erika@example.com".into()),
            total: 99.5,
            lines: (0..4).map(line).collect(),
        }
    }
}

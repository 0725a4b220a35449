//! A typical message: an order of a shop.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleOrder {
    pub number: u64,
    pub customer: String,
    pub email: Option<String>,
    pub total: f64,
    pub lines: Vec<OrderLine>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderLine {
    pub article: String,
    pub quantity: u32,
    pub price: f64,
}

impl SampleOrder {
    pub fn typical(number: u64) -> SampleOrder {
        let line = |index: u32| OrderLine { article: format!("article {index}"), quantity: index + 1, price: 9.95 * f64::from(index + 1) };
        SampleOrder {
            number,
            customer: "Erika Mustermann".into(),
            email: Some("erika@example.com".into()),
            total: 99.5,
            lines: (0..4).map(line).collect(),
        }
    }
}

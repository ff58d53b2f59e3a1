//! Rows of any table, as cells: read from one database, written to another, and counted with a digest that does not depend on
//! their order.
//!
//! Never here: which tables (`tables.rs`), transactions.

use sha2::{Digest as _, Sha256};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Column, Error, FromRow, Row, TypeInfo};

use crate::sql::Bound;

/// A cell of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

impl Cell {
    pub(crate) fn bound(&self) -> Bound<'_> {
        match self {
            Self::Int(value) => Bound::from(*value),
            Self::Text(value) => Bound::from(value.as_deref()),
            Self::Bytes(Some(value)) => Bound::from(value),
            Self::Bytes(None) => Bound::Bytes(None),
        }
    }

    /// The same kind of cell with nothing in it.
    pub(crate) fn blank(&self) -> Self {
        match self {
            Self::Int(_) => Self::Int(None),
            Self::Text(_) => Self::Text(None),
            Self::Bytes(_) => Self::Bytes(None),
        }
    }

    fn digest(&self, into: &mut Sha256) {
        let (kind, bytes) = match self {
            Self::Int(None) | Self::Text(None) | Self::Bytes(None) => (0u8, &[][..]),
            Self::Int(Some(value)) => (1, &value.to_be_bytes()[..]),
            Self::Text(Some(value)) => (2, value.as_bytes()),
            Self::Bytes(Some(value)) => (3, value.as_slice()),
        };
        into.update([kind]);
        into.update((bytes.len() as u64).to_be_bytes());
        into.update(bytes);
    }
}

/// A row, its columns in the order they were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cells(pub(crate) Vec<Cell>);

macro_rules! cells_from {
    ($row:ty) => {
        impl<'r> FromRow<'r, $row> for Cells {
            fn from_row(row: &'r $row) -> Result<Self, Error> {
                let cell = |(at, column): (usize, &<<$row as Row>::Database as sqlx::Database>::Column)| {
                    Ok(match column.type_info().name() {
                        "INTEGER" | "INT8" => Cell::Int(row.try_get(at)?),
                        "TEXT" => Cell::Text(row.try_get(at)?),
                        "BLOB" | "BYTEA" => Cell::Bytes(row.try_get(at)?),
                        other => {
                            let what = format!("column {} is a {other}, which no table of ours has", column.name());
                            return Err(Error::Decode(what.into()));
                        }
                    })
                };
                row.columns().iter().enumerate().map(cell).collect::<Result<_, _>>().map(Self)
            }
        }
    };
}

cells_from!(SqliteRow);
cells_from!(PgRow);

/// How many rows, and what they hold: equal where the rows are, in whatever order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) rows: u64,
    sum: [u64; 4],
}

impl Tally {
    pub(crate) fn add(&mut self, row: &Cells) {
        let mut hash = Sha256::new();
        row.0.iter().for_each(|cell| cell.digest(&mut hash));
        let hash = hash.finalize();
        let (words, _) = hash.as_chunks::<8>();
        for (sum, word) in self.sum.iter_mut().zip(words) {
            *sum = sum.wrapping_add(u64::from_be_bytes(*word));
        }
        self.rows += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: i64, text: &str) -> Cells {
        Cells(vec![Cell::Int(Some(id)), Cell::Text(Some(text.to_owned())), Cell::Bytes(None)])
    }

    fn tally(rows: &[Cells]) -> Tally {
        let mut tally = Tally::default();
        rows.iter().for_each(|row| tally.add(row));
        tally
    }

    #[test]
    fn a_tally_tells_other_rows_and_not_another_order() {
        let (one, two) = (row(1, "a"), row(2, "b"));
        assert_eq!(tally(&[one.clone(), two.clone()]), tally(&[two.clone(), one.clone()]));
        assert_ne!(tally(&[one.clone(), two.clone()]), tally(&[one.clone(), one.clone()]));
        assert_ne!(tally(std::slice::from_ref(&one)), tally(&[row(1, "b")]));
        assert_ne!(tally(&[one]), tally(&[Cells(vec![Cell::Int(Some(1)), Cell::Text(None), Cell::Bytes(None)])]));
    }
}

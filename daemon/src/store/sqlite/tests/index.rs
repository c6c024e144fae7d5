//! The index across its parts.

use crate::event::{Action, Entity, EventId};
use crate::store::Seq;
use crate::store::sqlite::index::{Index, Learned, Note, PART, entity_key};
use crate::store::sqlite::schema::Folder;

/// An index on a file, committing in batches as the writer does.
struct Bench {
    connection: rusqlite::Connection,
    index: Index,
    next: i64,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let connection = Folder::take(folder.path()).unwrap().open_writer().unwrap();
        connection.pragma_update(None, "synchronous", "off").unwrap();
        Bench { index: Index::load(&connection).unwrap(), connection, next: 1, _folder: folder }
    }

    /// So many events with ids in no order, each tenth a deletion of an entity of a hundred.
    fn append(&mut self, count: i64) {
        while self.next < count {
            let tx = self.connection.transaction().unwrap();
            let mut learned = Learned::default();
            for seq in self.next..(self.next + 1000).min(count) {
                learned.notes.push(note(seq));
                tx.prepare_cached(
                    "INSERT INTO events VALUES (?1, 1, ?2, ?1, 0, NULL, 'tag', ?3, ?4, NULL, 0, NULL, 0, 0, '', x'')",
                )
                .unwrap()
                .execute(rusqlite::params![seq, id(seq).0, seq % 100, action(seq).as_str()])
                .unwrap();
            }
            learned.written = self.index.write(&tx).unwrap();
            tx.commit().unwrap();
            self.next += learned.notes.len() as i64;
            self.index.committed(learned);
        }
    }

    fn find(&self, seq: i64) -> Option<i64> {
        self.index.find_event(&self.connection, id(seq)).unwrap().map(|seq| seq.0)
    }

    /// Everything is found, and nothing else.
    fn check(&self) {
        let edges = [PART - 1, PART, self.next - 1].into_iter().filter(|seq| *seq < self.next);
        for seq in (1..self.next).step_by(997).chain(edges) {
            assert_eq!(self.find(seq), Some(seq));
        }
        for seq in (self.next..self.next + 100_000).step_by(13) {
            assert_eq!(self.find(seq), None);
        }
        for entity in 0..100 {
            let key = entity_key(None, Entity::Tag, entity);
            let latest = self.index.find_entity(&self.connection, key).unwrap().unwrap();
            assert_eq!(latest.seq.0 % 100, entity);
            assert!(latest.seq.0 >= self.next - 100);
            assert_eq!(latest.deleted, action(latest.seq.0) == Action::Deleted);
        }
        assert_eq!(
            self.index.find_entity(&self.connection, entity_key(Some(1), Entity::Tag, 5)).unwrap(),
            None
        );
    }
}

fn id(seq: i64) -> EventId {
    EventId(seq.wrapping_mul(0x5851_f42d_4c95_7f2d) & i64::MAX)
}

fn action(seq: i64) -> Action {
    if seq % 10 == 3 { Action::Deleted } else { Action::Updated }
}

fn note(seq: i64) -> Note {
    Note::of(Seq(seq), seq, id(seq), Some(entity_key(None, Entity::Tag, seq % 100)), action(seq))
}

#[test]
fn finds_across_parts_and_starts() {
    let mut bench = Bench::new();
    for count in [5_000, 20_000, PART - 1, PART + 1, PART + 10_000, 2 * PART + 30_000] {
        bench.append(count);
        bench.check();
        bench.index = Index::load(&bench.connection).unwrap();
        bench.check();
    }
    assert_eq!(bench.index.first_since(0), Seq(0));
    assert_eq!(bench.index.first_since(PART + 1), Seq(PART));
    assert_eq!(bench.index.first_since(i64::MAX), Seq(i64::MAX));
}

#[test]
fn lets_whole_parts_go() {
    let mut bench = Bench::new();
    bench.append(2 * PART + 5_000);
    for (oldest, gone) in
        [(PART - 1, false), (PART, true), (PART, false), (3 * PART, true), (3 * PART, false)]
    {
        let tx = bench.connection.transaction().unwrap();
        let part_pruned = bench.index.prune(&tx, Seq(oldest)).unwrap();
        tx.commit().unwrap();
        assert_eq!(part_pruned, gone, "before {oldest}");
        bench.index.committed(Learned { part_pruned, ..Learned::default() });
    }
    assert_eq!(bench.find(5), None);
    assert_eq!(bench.find(PART + 5), None);
    assert_eq!(bench.find(2 * PART + 5), Some(2 * PART + 5), "the open part stays");
    for table in ["index_parts", "index_events", "index_entities"] {
        let count = format!("SELECT count(*) FROM {table}");
        assert_eq!(bench.connection.query_row(&count, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    }
}

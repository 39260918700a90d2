//! The cache's routes over a cache that is a list: what is shown to whom, what is deleted, what is noted.

use super::*;
use crate::admin::cache::*;
use crate::cache::{self, Answer as Body, Entry, Form, Key, Owner, Partition, Selection, Wrong};

/// A cache that is a list.
#[derive(Default)]
pub struct Drawer {
    pub held: Mutex<Vec<Entry>>,
    pub wrong: Mutex<Vec<Wrong>>,
    pub away: std::sync::atomic::AtomicBool,
}

impl Drawer {
    fn away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl CacheDesk for Drawer {
    async fn totals(&self, _: u64) -> CacheTotals {
        let entries = self.held.lock().unwrap().len() as u64;
        CacheTotals {
            memory: CacheTier {
                entries,
                bytes: 10,
                capacity: 1000,
            },
            semantic: Some("built-in".to_owned()),
            shared_up: Some(!self.away()),
            index: None,
        }
    }

    async fn list(&self, look: &Look, _: u64) -> Result<Looked, String> {
        let held = self.held.lock().unwrap();
        let mut found: Vec<Kept> = held
            .iter()
            .filter(|entry| look.selection.matches(entry) && look.after.is_none_or(|after| entry.key > after))
            .map(|entry| Kept {
                entry: entry.clone(),
                hits: Some(2),
                similarity: look.like.as_ref().map(|_| 0.5),
            })
            .collect();
        found.sort_by_key(|kept| kept.entry.key);
        let more = found.len() > look.limit;
        found.truncate(look.limit);
        Ok(Looked { items: found, more })
    }

    async fn get(&self, id: Key, _: u64) -> Option<(Kept, Value)> {
        let held = self.held.lock().unwrap();
        let entry = held.iter().find(|entry| entry.key == id)?.clone();
        Some((
            Kept {
                entry,
                hits: None,
                similarity: None,
            },
            json!({"text": "THE-ANSWER"}),
        ))
    }

    async fn delete(&self, selection: &Selection) -> Cleared {
        let mut held = self.held.lock().unwrap();
        let before = held.len();
        held.retain(|entry| !selection.matches(entry));
        let here = (before - held.len()) as u64;
        Cleared {
            here,
            shared: Some(if self.away() { Err(SharedAway) } else { Ok(here) }),
        }
    }

    async fn disown(&self, wrong: &Wrong) -> Disowned {
        self.wrong.lock().unwrap().push(wrong.clone());
        Disowned {
            known: self.held.lock().unwrap().iter().any(|entry| entry.key == wrong.id),
            deleted: wrong.question.is_none(),
            shared_away: self.away(),
        }
    }

    async fn warm(&self, answers: Vec<Warm>, _: u64) -> Vec<Result<Key, String>> {
        let one = |answer: Warm| match answer.key.as_str() {
            "ci" => Ok(key(9)),
            other => Err(format!("there is no key {other:?}")),
        };
        answers.into_iter().map(one).collect()
    }
}

fn key(number: u8) -> Key {
    Key([number; 16])
}

/// Two answers of each of two teams: 1 and 2 of `search`, 3 and 4 of `zebra`.
pub fn filled() -> Arc<Drawer> {
    let drawer = Drawer::default();
    for (number, team) in [(1, "search"), (2, "search"), (3, "zebra"), (4, "zebra")] {
        drawer.held.lock().unwrap().push(Entry {
            key: key(number),
            partition: Partition([team.len() as u8; 16]),
            made_ms: NOW_MS as u64 - 10_000,
            fresh_ms: 60_000,
            stale_ms: 0,
            spare_ms: 0,
            owner: Owner {
                team: Some(team.into()),
                key: Some(format!("{team}-key").into()),
                ..Owner::default()
            },
            model: "gpt".into(),
            target: "openai/gpt-4o".into(),
            tags: [format!("{team}{number}").into()].into(),
            question: Some(format!("{team} asks {}", "é".repeat(300)).into()),
            semantic: true,
            usage: Some(Usage {
                input: 5,
                output: 2,
                ..Usage::default()
            }),
            cost: Some(1_500),
            answer: Body {
                form: Form::Canonical,
                zstd: false,
                length: 44,
                bytes: bytes::Bytes::new(),
            },
        });
    }
    Arc::new(drawer)
}

fn ids(answer: &Value) -> Vec<String> {
    let items = answer["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["id"].as_str().unwrap()[..2].to_owned())
        .collect()
}

fn id(number: u8) -> String {
    format!("/admin/v1/cache/entries/{}", key(number))
}

#[tokio::test]
async fn answers_are_listed_filtered_and_paged() {
    let world = World::peopled();
    let (_, totals) = world.get("read-only", "/admin/v1/cache").await;
    assert_eq!(
        (&totals["memory"]["entries"], &totals["shared_up"]),
        (&json!(4), &json!(true))
    );
    for (query, expected) in [
        ("", vec!["01", "02", "03", "04"]),
        ("?team=zebra", vec!["03", "04"]),
        ("?key=search-key&tag=search2", vec!["02"]),
        ("?model=other", vec![]),
        (&format!("?partition={}", Partition([6; 16])), vec!["01", "02"]),
    ] {
        let (status, answer) = world.get("auditor", &format!("/admin/v1/cache/entries{query}")).await;
        assert_eq!(
            (status, ids(&answer)),
            (200, expected.iter().map(ToString::to_string).collect()),
            "{query}"
        );
    }
    let (_, first) = world.get("owner", "/admin/v1/cache/entries?limit=3").await;
    let item = &first["items"][0];
    assert_eq!(
        (&item["age_seconds"], &item["fresh_seconds"], &item["state"]),
        (&json!(10), &json!(50), &json!("fresh"))
    );
    assert_eq!(
        (&item["cost_usd"], &item["tokens"], &item["hits"]),
        (&json!("0.0000015"), &json!(7), &json!(2))
    );
    let question = item["question"].as_str().unwrap();
    assert!(question.starts_with("search asks é") && question.chars().count() == 201 && item["answer"].is_null());
    let next = first["next_cursor"].as_str().unwrap();
    let (_, rest) = world
        .get("owner", &format!("/admin/v1/cache/entries?limit=3&cursor={next}"))
        .await;
    assert_eq!(ids(&rest), ["04"]);
    assert!(rest["next_cursor"].is_null());
    let (_, like) = world.get("owner", "/admin/v1/cache/entries?like=hello&limit=1").await;
    assert_eq!(like["items"][0]["similarity"], 0.5);
    for wrong in ["partition=xyz", "cursor=eHl6", "colour=1"] {
        assert_eq!(
            world.get("owner", &format!("/admin/v1/cache/entries?{wrong}")).await.0,
            400,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn an_answer_is_read_by_who_may_and_noted() {
    let world = World::peopled();
    let (status, answer) = world.get("admin", &id(3)).await;
    assert_eq!(
        (status, &answer["answer"]["text"]),
        (200, &json!("THE-ANSWER")),
        "{answer}"
    );
    assert!(answer["question"].as_str().unwrap().len() > 600);
    let audit = world.audit();
    assert!(
        audit
            .iter()
            .all(|(action, subject, _)| action == "cache.read" && *subject == format!("cache/{}", key(3)))
    );
    assert_eq!(audit.len(), 2);
    // The role that reads no texts.
    let (status, bare) = world.get("read-only", &id(3)).await;
    assert_eq!(status, 200);
    assert!(
        bare["answer"].is_null() && bare["question"].is_null() && bare["model"] == "gpt",
        "{bare}"
    );
    let (_, listed) = world.get("read-only", "/admin/v1/cache/entries").await;
    assert!(!listed.to_string().contains("asks"), "{listed}");
    assert_eq!(world.get("read-only", "/admin/v1/cache/entries?like=x").await.0, 403);
    assert_eq!(world.audit().len(), 2, "it was told nothing that is noted");
    for gone in ["/admin/v1/cache/entries/xyz".to_owned(), id(9)] {
        assert_eq!(world.get("owner", &gone).await.0, 404, "{gone}");
    }
}

#[tokio::test]
async fn a_team_admin_has_its_own_answers_only() {
    let world = World::peopled();
    let (_, answer) = world.get("team-admin", "/admin/v1/cache/entries").await;
    assert_eq!(ids(&answer), ["01", "02"]);
    let (_, answer) = world.get("team-admin", "/admin/v1/cache/entries?team=zebra").await;
    assert_eq!(ids(&answer), Vec::<String>::new());
    let nowhere = world.get("team-admin", &id(9)).await;
    assert_eq!(world.get("team-admin", &id(3)).await, nowhere);
    assert_eq!(world.get("team-admin", &id(1)).await.1["answer"]["text"], "THE-ANSWER");
    let left = || world.drawer.held.lock().unwrap().len();
    for (path, gone) in [
        (id(3), 0),
        ("/admin/v1/cache/entries?team=zebra".to_owned(), 0),
        ("/admin/v1/cache/entries?key=zebra-key".to_owned(), 0),
        ("/admin/v1/cache/entries?model=gpt&tag=search1".to_owned(), 1),
        ("/admin/v1/cache/entries?model=gpt".to_owned(), 1),
    ] {
        let before = left();
        let (status, answer) = world.ask("team-admin", "DELETE", &path, Value::Null).await;
        assert_eq!((status, &answer["deleted"]), (200, &json!(gone)), "{path}: {answer}");
        assert_eq!(before - left(), gone, "{path}");
    }
    let report = json!({"id": key(3).to_string()});
    assert_eq!(
        world
            .ask("team-admin", "POST", "/admin/v1/cache/feedback", report)
            .await
            .0,
        404
    );
    assert!(world.drawer.wrong.lock().unwrap().is_empty());
    assert_eq!(
        world
            .ask("team-admin", "POST", "/admin/v1/cache/purge", Value::Null)
            .await
            .0,
        404
    );
}

#[tokio::test]
async fn deleting_needs_a_selection_and_says_when_others_have_not_heard() {
    let world = World::peopled();
    let (status, refused) = world
        .ask("owner", "DELETE", "/admin/v1/cache/entries", Value::Null)
        .await;
    assert_eq!(status, 400);
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("/admin/v1/cache/purge"),
        "{refused}"
    );
    let (_, one) = world.ask("admin", "DELETE", &id(1), Value::Null).await;
    assert_eq!((&one["deleted"], &one["shared"]), (&json!(1), &json!(1)));
    let (_, team) = world
        .ask("admin", "DELETE", "/admin/v1/cache/entries?team=zebra", Value::Null)
        .await;
    assert_eq!(team["deleted"], 2);
    world.drawer.away.store(true, Ordering::Relaxed);
    let (status, away) = world.ask("owner", "POST", "/admin/v1/cache/purge", json!({})).await;
    assert_eq!(
        (status, &away["error"]["code"]),
        (503, &json!("shared_unavailable")),
        "{away}"
    );
    assert!(world.drawer.held.lock().unwrap().is_empty(), "gone here all the same");
    let outcomes: Vec<(String, String)> = world
        .audit()
        .into_iter()
        .map(|(action, _, outcome)| (action, outcome))
        .collect();
    assert_eq!(
        outcomes.last().unwrap(),
        &("cache.purge".to_owned(), "failed: shared_unavailable".to_owned())
    );
    assert_eq!(
        outcomes
            .iter()
            .filter(|(action, outcome)| action == "cache.delete" && outcome == "done")
            .count(),
        2
    );
}

#[tokio::test]
async fn wrong_answers_are_reported_by_what_the_header_said() {
    let world = World::peopled();
    let report = |body: Value| world.ask("admin", "POST", "/admin/v1/cache/feedback", body);
    let (a, b, c) = (key(1), key(2), key(3));
    let (_, pair) = report(json!({"id": format!("{a}.{b}")})).await;
    assert_eq!(pair["deleted"], false);
    let (_, both) = report(json!({"id": a.to_string(), "question": c.to_string()})).await;
    assert_eq!(both["deleted"], false);
    let (_, itself) = report(json!({"id": a.to_string()})).await;
    assert_eq!(itself["deleted"], true);
    let told: Vec<Option<Key>> = world
        .drawer
        .wrong
        .lock()
        .unwrap()
        .iter()
        .map(|wrong| wrong.question)
        .collect();
    assert_eq!(told, [Some(b), Some(c), None]);
    for (body, status) in [
        (json!({"id": key(9).to_string()}), 404),
        (json!({"id": "x"}), 400),
        (json!({}), 400),
        (json!({"id": a.to_string(), "question": "x"}), 400),
        (json!({"id": a.to_string(), "threshold": 0.1}), 400),
    ] {
        assert_eq!(report(body.clone()).await.0, status, "{body}");
    }
}

#[tokio::test]
async fn answers_are_warmed_one_by_one() {
    let world = World::peopled();
    let warm = |key: &str| json!({"key": key, "request": {"model": "gpt"}, "answer": "hello"});
    let body = json!({"answers": [warm("ci"), warm("nobody")]});
    let (status, answer) = world.ask("owner", "POST", "/admin/v1/cache/warm", body).await;
    assert_eq!(
        (status, &answer["ids"]),
        (200, &json!([key(9).to_string()])),
        "{answer}"
    );
    assert!(answer["failed"]["1"].as_str().unwrap().contains("nobody"), "{answer}");
    for wrong in [
        json!({"answers": []}),
        json!({"answers": [{"key": "ci"}]}),
        json!({"answers": vec![warm("ci"); 501]}),
    ] {
        assert_eq!(world.ask("owner", "POST", "/admin/v1/cache/warm", wrong).await.0, 400);
    }
}

#[tokio::test]
async fn without_a_cache_every_route_says_so() {
    let mut world = World::peopled();
    world.without_cache();
    for (method, path) in [
        ("GET", "/admin/v1/cache".to_owned()),
        ("GET", id(1)),
        ("DELETE", id(1)),
        ("POST", "/admin/v1/cache/purge".to_owned()),
    ] {
        let (status, answer) = world.ask("owner", method, &path, Value::Null).await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (503, &json!("no_cache")),
            "{method} {path}"
        );
    }
}

#[test]
fn ids_of_hits_are_those_of_the_list() {
    assert_eq!(cache::HitId::new(key(1), key(1)).to_string(), key(1).to_string());
}

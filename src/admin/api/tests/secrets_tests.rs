//! Stored secrets: kept sealed, listed without their values, never repeated.

use super::*;

const CANARY: &str = "sk-CANARY-0123456789";

fn world(keys: &[u8]) -> World {
    let world = World::new();
    seal_with(&world, keys);
    world
}

fn seal_with(world: &World, keys: &[u8]) {
    *world.process.sealing.lock().unwrap() = keys.to_vec();
}

async fn put(world: &World, name: &str, body: Value) -> (u16, Value) {
    world
        .ask("admin", "PUT", &format!("/admin/v1/secrets/{name}"), body)
        .await
}

#[tokio::test]
async fn a_secret_is_set_listed_and_deleted_and_never_told() {
    let world = world(&[1]);
    let (status, set) = put(&world, "openai", json!({"value": format!("  {CANARY}\n")})).await;
    assert_eq!((status, &set["name"]), (200, &json!("openai")), "{set}");
    assert_eq!(
        world.process.changed.load(Ordering::Relaxed),
        1,
        "taken up before the answer"
    );
    let sealed = world.store.held.lock().unwrap().secrets["openai"].clone();
    let ring = world.process.keyring().unwrap().unwrap();
    assert_eq!(ring.open("provider", "openai", &sealed).unwrap().expose(), CANARY);
    let (_, listed) = world.get("owner", "/admin/v1/secrets").await;
    assert_eq!(listed["items"][0]["sealing_key"], sealed.key());
    assert_eq!(listed["items"][0]["outdated"], false);
    put(&world, "used", json!({"value": CANARY})).await;
    let (status, refused) = world
        .ask("admin", "DELETE", "/admin/v1/secrets/used", Value::Null)
        .await;
    assert_eq!(
        (status, &refused["error"]["code"]),
        (409, &json!("in_use")),
        "{refused}"
    );
    assert!(refused.to_string().contains("openai, azure"), "{refused}");
    for (path, expected) in [
        ("/admin/v1/secrets/used?force=true", 200),
        ("/admin/v1/secrets/openai", 200),
        ("/admin/v1/secrets/openai", 404),
    ] {
        assert_eq!(
            world.ask("admin", "DELETE", path, Value::Null).await.0,
            expected,
            "{path}"
        );
    }
    let actions: Vec<String> = world.audit().into_iter().map(|(action, ..)| action).collect();
    assert_eq!(
        actions.iter().filter(|action| *action == "secret.set").count(),
        4,
        "begun and done, of two"
    );
    let notes = format!("{:?}", world.store.held.lock().unwrap().audit);
    assert!(
        !(set.to_string() + &listed.to_string() + &notes).contains("CANARY"),
        "{notes}"
    );
}

#[tokio::test]
async fn what_is_refused_is_not_repeated() {
    let world = world(&[1]);
    for (name, body) in [
        ("n", json!({"value": ["sk-CANARY"]})),
        ("n", json!({"sk-CANARY": "x"})),
        ("n", json!({"value": "x", "sk-CANARY": 1})),
        ("n", json!({})),
        ("n", json!("sk-CANARY")),
        ("n", json!({"value": "  "})),
        ("n", json!({"value": "sk-CANARY\nsecond"})),
        ("n", json!({"value": "CANARY".repeat(20_000)})),
        ("-n", json!({"value": CANARY})),
        ("a%2Fb", json!({"value": CANARY})),
    ] {
        let (status, answer) = put(&world, name, body).await;
        assert_eq!(status, 400, "{answer}");
        assert!(!answer.to_string().contains("CANARY"), "{answer}");
    }
    let document = json!({"value": "{\n  \"private_key\": \"x\"\n}"});
    assert_eq!(put(&world, "n", document).await.0, 200);
    seal_with(&world, &[]);
    let (status, answer) = put(&world, "n", json!({"value": CANARY})).await;
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("no_sealing_key")));
    world.store.down.store(true, Ordering::Relaxed);
    seal_with(&world, &[1]);
    assert_eq!(put(&world, "n", json!({"value": CANARY})).await.0, 503);
}

#[tokio::test]
async fn rotating_the_key_seals_what_still_opens() {
    let world = world(&[1]);
    put(&world, "a", json!({"value": CANARY})).await;
    seal_with(&world, &[9]);
    put(&world, "lost", json!({"value": CANARY})).await;
    seal_with(&world, &[2, 1]);
    put(&world, "new", json!({"value": CANARY})).await;
    let (_, listed) = world.get("admin", "/admin/v1/secrets").await;
    let outdated: Vec<&Value> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["outdated"])
        .collect();
    assert_eq!(outdated, [true, true, false]);
    let (status, done) = world.ask("admin", "POST", "/admin/v1/reseal", Value::Null).await;
    assert_eq!((status, &done["resealed"]), (200, &json!(["a"])), "{done}");
    assert!(
        done["failed"]["lost"].as_str().unwrap().contains("not configured"),
        "{done}"
    );
    seal_with(&world, &[2]);
    let ring = world.process.keyring().unwrap().unwrap();
    let held = world.store.held.lock().unwrap();
    assert_eq!(ring.open("provider", "a", &held.secrets["a"]).unwrap().expose(), CANARY);
}

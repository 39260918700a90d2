//! Secrets are kept sealed, and nothing of them is in the database.

use super::{Site, contract};
use cirque::secret::Secret;
use cirque::storage::sealed::Keyring;

contract!(secrets_are_kept_sealed);

async fn secrets_are_kept_sealed(site: &Site) {
    let store = &site.store;
    let ring = Keyring::new(&[Secret::new("ab".repeat(32))]).unwrap();
    let value = Secret::new("sk-canary-7f3a".to_owned());
    assert!(store.secret("provider", "p'").await.unwrap().is_none());
    for name in ["p'", "q"] {
        store
            .put_secret("provider", name, &ring.seal("provider", name, &value).unwrap())
            .await
            .unwrap();
    }
    let again = ring.seal("provider", "p'", &value).unwrap();
    store.put_secret("provider", "p'", &again).await.unwrap();
    let kept = store.secret("provider", "p'").await.unwrap().unwrap();
    assert_eq!(kept, again);
    assert_eq!(ring.open("provider", "p'", &kept).unwrap(), value);
    let names = store.secret_names().await.unwrap();
    assert_eq!(
        names.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(),
        ["p'", "q"]
    );
    assert_eq!(names[0].sealing_key, kept.key());
    assert!(names[0].changed_at > 1_600_000_000);
    let all = store.secrets("provider").await.unwrap();
    assert_eq!(all.keys().collect::<Vec<_>>(), ["p'", "q"]);
    assert_eq!(all["p'"], again);
    assert!(store.secrets("other").await.unwrap().is_empty());
    // Other instances ask for the revision.
    let before = store.revision().await.unwrap();
    store.put_secret("provider", "p'", &again).await.unwrap();
    let changed = store.revision().await.unwrap();
    assert!(changed > before);
    // One moved to another's place does not open there.
    site.meddle("UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE name = 'q') WHERE name <> 'q'")
        .await;
    let moved = store.secret("provider", "p'").await.unwrap().unwrap();
    assert!(ring.open("provider", "p'", &moved).is_err());
    assert!(store.delete_secret("provider", "q").await.unwrap());
    let deleted = store.revision().await.unwrap();
    assert!(deleted > changed);
    assert!(!store.delete_secret("provider", "q").await.unwrap());
    assert_eq!(store.revision().await.unwrap(), deleted, "nothing changed");
    assert_eq!(store.secret_names().await.unwrap().len(), 1);
}

//! Maintenance: room for the months to come, and what is too old.
//!
//! Sums stay (they are small and are what usage is asked from); single rows, audit entries, windows of counts long past and
//! marks of deleted objects go.

use super::session::{Access, Backend};
use super::{DAY_MS, SqlStore, month_after, month_of};
use crate::storage::{Maintained, StoreError};

/// Days after which the window of a count that has a later one is of no use: longer than the longest window but `total`.
const KEEP_COUNTS_DAYS: i64 = 400;
/// Days for which every instance surely reads the changes.
const KEEP_DELETED_DAYS: i64 = 30;

impl<B: Backend> SqlStore<B> {
    pub(super) async fn keep_up(
        &self,
        now_ms: i64,
        keep_days: u32,
        keep_audit_days: u32,
    ) -> Result<Maintained, StoreError> {
        let this = month_of(now_ms);
        let next = month_after(this);
        self.backend.make_room(&[this, next, month_after(next)]).await?;
        let before = |days: i64| now_ms.saturating_sub(days.saturating_mul(DAY_MS));
        let rows = self.backend.drop_rows(before(i64::from(keep_days))).await?;
        let audit = self.drop_audit(before(i64::from(keep_audit_days))).await?;
        let mut session = self.backend.begin(Access::Write).await?;
        session.unhurried().await?;
        let sql = "DELETE FROM counts WHERE began_at < $1 AND EXISTS \
                   (SELECT 1 FROM counts later WHERE later.count = counts.count AND later.began_at > counts.began_at)";
        session.run(sql, vec![(before(KEEP_COUNTS_DAYS) / 1000).into()]).await?;
        let marks = before(i64::from(keep_audit_days).max(KEEP_DELETED_DAYS)) / 1000;
        session
            .run(
                "DELETE FROM objects WHERE deleted = 1 AND updated_at < $1",
                vec![marks.into()],
            )
            .await?;
        session.commit().await?;
        self.backend.tidy().await?;
        Ok(Maintained { rows, audit })
    }
}

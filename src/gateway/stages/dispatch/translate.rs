//! Translation at its place in an attempt: small bodies at once, large ones off the worker, which has other streams to serve.

use super::super::super::aside::{OFFLOAD_FROM, aside};
use super::super::super::plan::{self, NoPlan, Plan, Terms, Translated, Whole};
use super::attempt::{Attempt, Notes};
use super::failure::{Failure, defect};
use crate::telemetry::Outcome;
use crate::upstream::Site;
use bytes::Bytes;
use std::sync::Arc;

impl Attempt<'_> {
    /// What to send, and how to read the answer.
    pub(super) async fn plan(
        &self,
        notes: &mut Notes,
        site: &Arc<Site>,
        terms: Terms<'_>,
    ) -> Result<Result<Plan, NoPlan>, Failure> {
        match plan::native(self.common.call, site, terms) {
            Some(plan) => Ok(plan),
            None if self.common.call.body.len() < OFFLOAD_FROM => Ok(plan::translated(self.common.call, site, terms)),
            None => self.plan_aside(notes, site, terms).await,
        }
    }

    /// The plan of a call whose body is large.
    async fn plan_aside(
        &self,
        notes: &mut Notes,
        site: &Arc<Site>,
        terms: Terms<'_>,
    ) -> Result<Result<Plan, NoPlan>, Failure> {
        let (call, site, model) = (self.common.call.clone(), Arc::clone(site), terms.model.to_owned());
        let Terms {
            max_depth,
            mixed,
            strict,
            ..
        } = terms;
        let work = move || {
            let terms = Terms {
                model: &model,
                max_depth,
                mixed,
                strict,
            };
            plan::translated(&call, &site, terms)
        };
        let made = notes.within(self.common.total, aside(work)).await;
        made.map_err(|_| self.late(Outcome::TotalTimeout))?
            .map_err(|error| defect(format!("blocking task: {error}")))
    }

    /// The answer in the client's dialect; a large one is not translated on the worker either.
    pub(super) async fn translate_whole(&self, translated: Translated, body: &Bytes) -> Result<Whole, Failure> {
        let depth = self.common.limits().json_depth;
        let whole = if body.len() < OFFLOAD_FROM {
            translated.whole(self.common.call, body, depth)
        } else {
            let (call, body) = (self.common.call.clone(), body.clone());
            aside(move || translated.whole(&call, &body, depth))
                .await
                .map_err(|error| defect(format!("blocking task: {error}")))?
        };
        whole.map_err(|error| self.undecodable(body, &error))
    }
}

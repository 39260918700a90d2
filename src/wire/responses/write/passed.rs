//! Going along with a stream that its provider writes in this very dialect, so that it can be gone on with if it breaks: ids,
//! places and numbers become the provider's.
//!
//! The order of calls: first the canonical events of an event, whose output nobody sees, then the event itself. An item is
//! announced (`output_item.added`) before its first part begins; the part then takes its id and place from there.

use super::Writer;
use super::stream::Stream;
use crate::wire::json::Node;

/// Places beyond this are not believed: a list as long as the highest is kept.
const MOST_ITEMS: u64 = 4096;

impl Writer {
    pub(super) fn on_passed(&mut self, data: &[u8], max_depth: usize) {
        let Ok(event) = Node::parse(data, max_depth) else {
            return;
        };
        if let Some(number) = event.get_u64("sequence_number") {
            self.stream.sequence = number.saturating_add(1);
        }
        if let Some(response) = event.get("response") {
            self.take_names(response);
        }
        let Some(place) = event.get_u64("output_index").filter(|place| *place < MOST_ITEMS) else {
            return;
        };
        let item = event.get("item");
        let id = item.and_then(|item| item.get_str("id")).or(event.get_str("item_id"));
        match (event.get_str("type"), item) {
            (Some("response.output_item.added"), _) => self.stream.announce(place, id.unwrap_or_default()),
            (Some("response.output_item.done"), Some(item)) => self.stream.conclude(place, item.raw),
            _ => self.stream.align(place, id),
        }
    }

    fn take_names(&mut self, response: &Node<'_>) {
        if let Some(id) = response.get_str("id") {
            id.clone_into(&mut self.id);
        }
        if let Some(model) = response.get_str("model") {
            model.clone_into(&mut self.envelope.model);
        }
        if let Some(created) = response.get_u64("created_at") {
            self.envelope.created = created;
        }
    }
}

impl Stream {
    fn reach(&mut self, place: u64) {
        let needed = place as usize + 1;
        if self.done.len() < needed {
            self.done.resize(needed, Vec::new());
        }
    }

    fn announce(&mut self, place: u64, id: &str) {
        // A call begins with its announcement: it is here already.
        if let Some(running) = self
            .open
            .iter_mut()
            .find(|running| !running.ended && !running.is_message())
        {
            running.index = place;
            id.clone_into(&mut running.item.id);
            self.reach(place);
            return;
        }
        // What waited for the next item is complete at the client.
        self.open.retain(|running| !running.ended);
        self.reach(place);
        self.announced = Some((place, id.to_owned()));
    }

    fn conclude(&mut self, place: u64, item: &str) {
        self.reach(place);
        self.announced = None;
        self.open.retain(|running| running.index != place);
        self.kept += item.len();
        if let Some(done) = self.done.get_mut(place as usize) {
            *done = super::item::one_line(item).into_owned().into_bytes();
        }
    }

    /// Servers leave announcements out: then the first event of an item's part tells its place.
    fn align(&mut self, place: u64, id: Option<&str>) {
        let Some(running) = self.open.last_mut() else { return };
        if running.index != place {
            running.index = place;
            self.reach(place);
        }
        if let (Some(id), Some(running)) = (id, self.open.last_mut())
            && running.item.id != id
        {
            id.clone_into(&mut running.item.id);
        }
    }
}

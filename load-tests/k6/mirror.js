// What a mirror does to those who are mirrored: nothing, however slow and broken the mirror is, and however many copies it gets.
import { Gauge, Trend } from 'k6/metrics';
import { arm, chat, scrape, stats, stream, sum, summaryWith, together } from './lib.js';

const ARMS = ['plain', 'mirrored'];
const trends = {};
for (const name of ARMS) trends[name] = { chat: new Trend(`chat_ms_${name}`, true), stream: new Trend(`first_event_ms_${name}`, true) };
const copies = new Gauge('copies'), left = new Gauge('not_copied_all_slots_taken'), most = new Gauge('most_at_the_mirror');

export const options = together({ plain: arm('plain', 100), mirrored: arm('mirrored', 100) });

function one(name) {
  if (Math.random() < 0.5) trends[name].chat.add(chat(name, name).timings.duration);
  else trends[name].stream.add(stream(name, name).timings.waiting);
}
export const plain = () => one('plain');
export const mirrored = () => one('mirrored');

export function teardown() {
  const seen = stats('shadow');
  copies.add(seen.requests);
  most.add(seen.most_under_way);
  left.add(sum(scrape(), 'cirque_mirror_requests_total', { result: 'not_sent' }));
}

export const handleSummary = summaryWith((of) => {
  const p95 = (name) => of(name)['p(95)'];
  const rules = ['chat_ms', 'first_event_ms'].map((what) => {
    const [without, having] = [p95(`${what}_plain`), p95(`${what}_mirrored`)];
    return [`${what}: p95 is not moved by more than 10 % and 5 ms`, `${without.toFixed(1)} and ${having.toFixed(1)} ms`, having <= without * 1.1 + 5];
  });
  rules.push(['there were copies', of('copies').value, of('copies').value > 0]);
  rules.push(['at most 16 at a time', of('most_at_the_mirror').value, of('most_at_the_mirror').value <= 16]);
  return rules;
});

// Hedging on bimodal targets: the time to the first event of streams with and without, and what it costs in calls. The calls are
// counted by the mocks; the gateway's own count is put beside them.
import { Counter, Gauge, Trend } from 'k6/metrics';
import { arm, scrape, stats, stream, sum, summaryWith, together } from './lib.js';

const ARMS = ['plain', 'fixed', 'bounded', 'learnt'];
const first = {}, made = {}, extra = {}, counted = {};
for (const name of ARMS) {
  first[name] = new Trend(`first_event_ms_${name}`, true);
  made[name] = new Counter(`requests_${name}`);
  extra[name] = new Gauge(`extra_calls_percent_${name}`);
  counted[name] = new Gauge(`hedges_by_the_gateway_${name}`);
}

export const options = together({ plain: arm('plain', 60), fixed: arm('fixed', 60), bounded: arm('bounded', 60), learnt: arm('learnt', 60) });

function one(name) {
  // The gateway sends its head with the first event, so the time to the first byte is the time to the first token.
  first[name].add(stream(name, name).timings.waiting);
  made[name].add(1);
}
export const plain = () => one('plain');
export const fixed = () => one('fixed');
export const bounded = () => one('bounded');
export const learnt = () => one('learnt');

export function teardown() {
  const seen = scrape();
  for (const name of ARMS) {
    const answered = sum(seen, 'cirque_requests_total', { model: name });
    const calls = [1, 2].reduce((total, nth) => total + stats(`${name}${nth}`).requests, 0);
    extra[name].add((100 * (calls - answered)) / answered);
    counted[name].add(sum(seen, 'cirque_hedges_total', { model: name }));
  }
}

export const handleSummary = summaryWith((of) => {
  const p99 = (name) => of(`first_event_ms_${name}`)['p(99)'];
  const fall = (name) => 100 * (1 - p99(name) / p99('plain'));
  const calls = (name) => of(`extra_calls_percent_${name}`).value;
  const rules = [['without hedging the p99 is the slow mode', `${Math.round(p99('plain'))} ms`, p99('plain') >= 2000]];
  for (const name of ['fixed', 'bounded', 'learnt']) {
    if (name !== 'learnt') rules.push([`${name}: p99 to the first event falls by at least 60 %`, `${fall(name).toFixed(1)} %`, fall(name) >= 60]);
    rules.push([`${name}: at most 6 % extra calls`, `${calls(name).toFixed(2)} %`, calls(name) <= 6]);
  }
  rules.push(['learnt: by so much the p99 falls (no rule)', `${fall('learnt').toFixed(1)} %`, true]);
  return rules;
});

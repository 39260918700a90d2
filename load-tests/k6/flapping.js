// Two of three targets fail for 5 s of every 10. No client may see it, and a target that is well again must be used again.
import { Gauge } from 'k6/metrics';
import { options as make, chat, stats, stream, summaryWith } from './lib.js';

export const options = make(30, { http_req_duration: ['p(95)<1000'] });
const answered = new Gauge('share_answered_by_flapping_targets');
const failed = new Gauge('share_of_their_calls_that_failed');

export default function () {
  if (Math.random() < 0.6) chat('flapping');
  else stream('flapping');
}

export function teardown() {
  const [steady, ...flapping] = ['steady', 'status', 'reset'].map(stats);
  const calls = flapping.reduce((total, one) => total + one.requests, 0);
  const faults = flapping.reduce((total, one) => total + one.faults, 0);
  answered.add((calls - faults) / (steady.requests + calls - faults));
  failed.add(faults / calls);
}

export const handleSummary = summaryWith((of) => {
  const percent = (name) => Math.round(of(name).value * 100);
  const [a, f] = ['share_answered_by_flapping_targets', 'share_of_their_calls_that_failed'];
  return [
    // Healthy half of the time they would have two thirds of it: a third.
    ['used again when well (at least 15 % of answers)', `${percent(a)} %`, of(a).value >= 0.15],
    ['left alone when not (at most 10 % of their calls fail)', `${percent(f)} %`, of(f).value <= 0.1],
  ];
});

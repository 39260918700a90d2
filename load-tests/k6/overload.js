// Twice the load that the target can take: 100 important requests a second and 300 unimportant ones, for 200. The important ones
// must all be answered with little waiting; the others are refused as it fits, each time with `retry-after`.
import { Counter, Gauge, Trend } from 'k6/metrics';
import { check } from 'k6';
import { arm, chatBody, post, says, stats, summaryWith, together } from './lib.js';

const wait = { important: new Trend('important_ms', true), unimportant: new Trend('unimportant_answered_ms', true) };
const refusal = new Trend('refusal_ms', true);
const answered = { important: new Counter('important_answered'), unimportant: new Counter('unimportant_answered') };
const refused = { important: new Counter('important_refused'), unimportant: new Counter('unimportant_refused') };
const most = new Gauge('most_at_the_target');
const limited = new Gauge('refused_by_the_target');

export const options = together(
  { important: arm('important', 100), unimportant: arm('unimportant', 300) },
  // 100 ms are the target's own.
  { important_ms: ['p(99)<600'], refusal_ms: ['p(95)<3500'] },
);
const BODY = chatBody('work', false);

function one(kind, headers) {
  const answer = post('/v1/chat/completions', BODY, kind, kind === 'important' ? 200 : [200, 429, 503], headers);
  if (answer.status === 200) {
    answered[kind].add(1);
    wait[kind].add(answer.timings.duration);
    check(answer, { 'answered: has a message': (r) => says(r, (value) => value.choices[0].message.content.length > 0) });
    return;
  }
  refused[kind].add(1);
  refusal.add(answer.timings.duration);
  check(answer, {
    'refused: 503 or 429': (r) => r.status === 503 || r.status === 429,
    'refused: says when to come back': (r) => Number(r.headers['Retry-After']) >= 1,
    'refused: in OpenAI form': (r) => says(r, (value) => value.error.message.length > 0 && value.error.type !== undefined),
  });
}
// The client may call its own request unimportant; only a rule calls one important.
export const important = () => one('important', { 'x-class': 'important' });
export const unimportant = () => one('unimportant', { 'x-cirque-priority': '0' });

export function teardown() {
  const seen = stats('full');
  most.add(seen.most_under_way);
  limited.add(seen.refused);
}

export const handleSummary = summaryWith((of) => {
  const count = (name) => of(name).count || 0;
  return [
    ['no important request was refused', count('important_refused'), count('important_refused') === 0],
    ['important requests were made', count('important_answered'), count('important_answered') > 0],
    ['it was an overload', `${count('unimportant_refused')} refused`, count('unimportant_refused') > count('unimportant_answered') / 10],
    ['the rest of the room was used', `${count('unimportant_answered')} answered`, count('unimportant_answered') > count('important_answered') / 2],
    ['never more than 20 at the target', `${of('most_at_the_target').value}, and ${of('refused_by_the_target').value} beyond`, of('most_at_the_target').value <= 20 && of('refused_by_the_target').value === 0],
  ];
});

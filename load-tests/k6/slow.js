// One of three targets is ten times slower than the others: what each strategy makes of it, side by side, chat and streams.
import { Trend } from 'k6/metrics';
import { together, arm, chat, stream, summaryWith } from './lib.js';

const trends = {};
for (const model of ['weighted', 'least-busy', 'peak-ewma']) {
  const name = model.replace('-', '_');
  trends[model] = { chat: new Trend(`chat_ms_${name}`, true), stream: new Trend(`first_event_ms_${name}`, true) };
}

export const options = together({ weighted: arm('weighted', 60), busy: arm('busy', 60), ewma: arm('ewma', 60) });

function one(model) {
  if (Math.random() < 0.5) trends[model].chat.add(chat(model, model).timings.duration);
  // The gateway sends its head with the first event, so this is the time to the first token.
  else trends[model].stream.add(stream(model, model).timings.waiting);
}
export const weighted = () => one('weighted');
export const busy = () => one('least-busy');
export const ewma = () => one('peak-ewma');

export const handleSummary = summaryWith((of) => {
  const p95 = (name) => of(name)['p(95)'];
  const ms = (name) => `${Math.round(p95(name))} ms`;
  return [
    ['weighted meets the slow target (p95 over 200 ms)', ms('chat_ms_weighted'), p95('chat_ms_weighted') > 200],
    ['peak-ewma: p95 of chat at most half of weighted', ms('chat_ms_peak_ewma'), p95('chat_ms_peak_ewma') <= p95('chat_ms_weighted') / 2],
    ['peak-ewma: p95 to the first event at most half', ms('first_event_ms_peak_ewma'), p95('first_event_ms_peak_ewma') <= p95('first_event_ms_weighted') / 2],
  ];
});

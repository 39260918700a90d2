// Streams of 35 events, 5 ms apart. The first byte must come long before the end: a gateway that buffers fails here.
import { Trend } from 'k6/metrics';
import { check } from 'k6';
import { options as make, stream, summary } from './lib.js';

const tail = new Trend('after_first_byte', true);

export const options = make(40, {
  http_req_waiting: ['p(95)<300'],
  http_req_duration: ['p(95)<800'],
});
export default function () {
  const answer = stream('pace-5-mock');
  tail.add(answer.timings.receiving);
  // 34 pauses of 5 ms lie between the first and the last event.
  check(answer, { 'stream: came bit by bit': (r) => r.timings.receiving > 120 });
}
export const handleSummary = summary;

// Streams of 35 events, 5 ms apart. The first byte must come long before the end: a gateway that buffers fails here.
import { Trend } from 'k6/metrics';
import { options as make, stream, summary } from './lib.js';

const tail = new Trend('after_first_byte', true);

export const options = make(40, {
  http_req_waiting: ['p(95)<300'],
  http_req_duration: ['p(95)<800'],
  // 34 pauses of 5 ms lie between the first and the last event. Not of each: a client that is kept waiting for its core reads
  // several at once.
  after_first_byte: ['p(1)>120'],
});
export default function () {
  tail.add(stream('pace-5-mock').timings.receiving);
}
export const handleSummary = summary;

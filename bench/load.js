// A constant rate of keep-alive POSTs, whatever the answers are, and a line of output for each request:
// when it began and ended (ms since the epoch), its status (0: no answer), and k6's error code (0: none).
import http from 'k6/http';

export const options = {
  scenarios: {
    users: {
      executor: 'constant-arrival-rate',
      rate: Number(__ENV.RATE),
      timeUnit: '1s',
      duration: __ENV.DURATION,
      gracefulStop: '1s',
      // Enough that an outage does not slow the rate: those who wait for an answer do not keep others from asking.
      preAllocatedVUs: 600,
      maxVUs: 1200,
    },
  },
  discardResponseBodies: true,
  systemTags: ['status'],
};

const request = { headers: { 'Content-Type': 'application/json' }, timeout: '5s' };
const body = JSON.stringify({ query: 'pizza', limit: 1 });

export default function () {
  const start = Date.now();
  const answer = http.post(__ENV.URL, body, request);
  console.log(`${start} ${Date.now()} ${answer.status} ${answer.error_code || 0}`);
}

export function handleSummary(data) {
  const count = (name) => (data.metrics[name] ? data.metrics[name].values.count : 0);
  return { [__ENV.SUMMARY]: JSON.stringify({ requests: count('http_reqs'), dropped: count('dropped_iterations') }) };
}

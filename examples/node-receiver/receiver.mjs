// An endpoint for trackrelay or Toggl Track: checks the signature, echoes the validation code.
//
// Usage: node receiver.mjs [PORT] (default 3000; 0 takes a free one). The secret comes from
// TRACK_SECRET, by default the one of the examples. Needs nothing but Node.js.

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const secret = process.env.TRACK_SECRET ?? "a-secret-for-examples-only";

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const answer = (status, value) => {
    response.writeHead(status, { "Content-Type": "application/json" });
    response.end(JSON.stringify(value));
  };
  // Over the raw bytes, before any parsing: event ids are too large for JavaScript numbers.
  const expected = Buffer.from("sha256=" + createHmac("sha256", secret).update(body).digest("hex"));
  const given = Buffer.from(request.headers["x-webhook-signature-256"] ?? "");
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    return answer(401, { error: "wrong signature" });
  }
  const event = JSON.parse(body);
  if ("validation_code" in event) {
    console.log("validation");
    return answer(200, { validation_code: event.validation_code });
  }
  console.log(request.url, body.toString());
  answer(200, {});
});

server.listen(Number(process.argv[2] ?? 3000), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});

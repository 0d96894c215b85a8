import assert from "node:assert/strict";
import { test } from "node:test";
import { messages } from "../src/server-sent";

/** An answer that comes in these parts and stays open; tells when nobody listens any more. */
function answer(parts: string[]): { response: Response; left: () => boolean } {
  let left = false;
  const bytes = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    start(line): void {
      for (const part of parts) line.enqueue(bytes.encode(part));
    },
    cancel(): void {
      left = true;
    },
  });
  return { response: new Response(body), left: () => left };
}

async function first(count: number, response: Response): Promise<string[]> {
  const heard: string[] = [];
  for await (const data of messages(response)) {
    heard.push(data);
    if (heard.length === count) break;
  }
  return heard;
}

test("events come whole, however they were cut, and what says nothing is passed over", async () => {
  const parts = [
    ": still there\r\ndata: \r\n\r",
    '\n: still there\r\n\r\nid: 7\r\ndata: {"a"',
    ":1}\r\n\r\ndata: 2\n\n",
  ];
  assert.deepEqual(await first(2, answer(parts).response), ['{"a":1}', "2"]);
});

test("a listener that fails lets go of the connection", async () => {
  const { response, left } = answer(["data: 1\n\n"]);
  const listen = async (): Promise<void> => {
    for await (const data of messages(response)) throw new Error(`${data} is odd`);
  };
  assert.equal(await listen().catch(String), "Error: 1 is odd");
  assert.ok(left());
});

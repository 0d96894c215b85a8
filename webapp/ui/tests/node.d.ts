/** The little of Node that the tests use. */
declare module "node:test" {
  export function test(name: string, body: () => void | Promise<void>): void;
}

declare module "node:assert/strict" {
  const assert: {
    ok(value: boolean, message?: string): void;
    equal(actual: unknown, expected: unknown): void;
    deepEqual(actual: unknown, expected: unknown): void;
    throws(body: () => unknown, expected: RegExp): void;
  };
  export default assert;
}

declare module "node:fs" {
  export function mkdirSync(path: string, options: { recursive: boolean }): void;
  export function writeFileSync(path: string, content: Uint8Array): void;
}

declare module "node:zlib" {
  export function crc32(content: Uint8Array): number;
}

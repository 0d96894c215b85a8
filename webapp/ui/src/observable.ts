/** A value that tells when it changes. */
export interface Observable<T> {
  readonly value: T;
  set(value: T): void;
  /** Calls back at once with the value, and on every change; returns what ends that. */
  watch(callback: (value: T) => void): () => void;
}

export function observable<T>(initial: T): Observable<T> {
  let current = initial;
  const callbacks = new Set<(value: T) => void>();
  return {
    get value(): T {
      return current;
    },
    set(value: T): void {
      if (Object.is(value, current)) return;
      current = value;
      for (const callback of [...callbacks]) callback(value);
    },
    watch(callback: (value: T) => void): () => void {
      callbacks.add(callback);
      callback(current);
      return () => {
        callbacks.delete(callback);
      };
    },
  };
}

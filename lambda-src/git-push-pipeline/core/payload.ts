/** The payload is not what the provider documents: the sender gets a 4xx with this message. */
export class PayloadError extends Error {
  public constructor(message: string) {
    super(message);
    this.name = 'PayloadError';
  }
}

/** A view of hostile JSON: every step is checked, and an error names the place. */
export class Payload {
  public static parse(text: string): Payload {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw new PayloadError('the body is not valid JSON');
    }
    const payload = new Payload(value);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new PayloadError('the body must be a JSON object');
    }
    return payload;
  }

  public constructor(
    private readonly value: unknown,
    private readonly path = 'the payload',
  ) {}

  /** A member, which may be absent. */
  public get(...names: readonly string[]): Payload {
    let value = this.value;
    for (const name of names) {
      const has = typeof value === 'object' && value !== null && Object.hasOwn(value, name);
      value = has ? (value as Record<string, unknown>)[name] : undefined;
    }
    return new Payload(
      value,
      this.path === 'the payload' ? names.join('.') : `${this.path}.${names.join('.')}`,
    );
  }

  /** Neither absent nor null. */
  public get exists(): boolean {
    return this.value !== undefined && this.value !== null;
  }

  public is(value: unknown): boolean {
    return this.value === value;
  }

  public text(): string {
    if (typeof this.value !== 'string') throw new PayloadError(`\`${this.path}\` must be a string`);
    return this.value;
  }

  public optionalText(): string | undefined {
    return typeof this.value === 'string' && this.value !== '' ? this.value : undefined;
  }

  public optionalNumber(): number | undefined {
    return typeof this.value === 'number' ? this.value : undefined;
  }

  public list(): readonly Payload[] {
    if (!Array.isArray(this.value)) throw new PayloadError(`\`${this.path}\` must be a list`);
    return this.value.map((item, index) => new Payload(item, `${this.path}[${index}]`));
  }

  public optionalList(): readonly Payload[] {
    return Array.isArray(this.value) ? this.list() : [];
  }
}

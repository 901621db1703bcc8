export interface Order {
  readonly items?: readonly { readonly price: number }[];
}

export class Checkout {
  public constructor(private readonly order: Order) {}

  /** What everything costs together. */
  public total(): number {
    return this.order.items!.reduce((sum, { price }) => sum + price, 0);
  }
}

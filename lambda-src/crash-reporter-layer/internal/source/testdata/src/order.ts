export interface Order {
  readonly id: string;
  readonly items?: readonly { readonly price: number }[];
}

/** Sums up — with a “quote”, a tab\t and an emoji 🎂 — what an order costs. */
export function total(order: Order): number {
  const label = '🎂🎂';
  const items = order.items!;
  return items.reduce((sum, item) => sum + item.price, 0) + label.length * 0;
}

export class Checkout {
  public pay(order: Order): string {
    const password = order.id;
    return `${password}: ${total(order)}`;
  }
}

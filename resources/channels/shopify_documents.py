"""Every GraphQL document that is sent to Shopify, API 2026-10.

Belongs here: the documents. Does not belong here: what is done with the answers (`shopify`).

Page sizes keep every document below Shopify's 1,000 points for a single query, counted at the worst: an object is one point, a
connection two and `first` times what is asked of a node. Real requests have been seen to cost far less.
"""

_LISTED = """
fragment Listed on ProductVariant {
  id
  displayName
  price
  requiresComponents
  product { id }
  inventoryItem {
    id
    sku
    tracked
    duplicateSkuCount
    inventoryLevel(locationId: $location) { updatedAt quantities(names: ["available"]) { name quantity } }
  }
}
"""

# Five objects a variant: 190 of them cost 954 points at the worst, 250 would cost 1,254.
LIST_ITEMS = (
    """
query ListItems($after: String, $location: ID!) {
  productVariants(first: 190, after: $after, sortKey: ID) {
    nodes { ...Listed }
    pageInfo { hasNextPage endCursor }
  }
}
"""
    + _LISTED
)

READ_ITEMS = (
    """
query ReadItems($ids: [ID!]!, $location: ID!) {
  nodes(ids: $ids) { ...Listed }
}
"""
    + _LISTED
)

READ_QUANTITIES = """
query ReadQuantities($ids: [ID!]!, $location: ID!) {
  nodes(ids: $ids) {
    ... on InventoryItem {
      id
      inventoryLevel(locationId: $location) { quantities(names: ["available"]) { name quantity } }
    }
  }
}
"""

SET_QUANTITIES = """
mutation SetQuantities($input: InventorySetQuantitiesInput!, $key: String!) {
  inventorySetQuantities(input: $input) @idempotent(key: $key) {
    inventoryAdjustmentGroup {
      changes(quantityNames: ["available"]) { name delta quantityAfterChange item { id } location { id } }
    }
    userErrors { code field message }
  }
}
"""

SET_PRICES = """
mutation SetPrices($product: ID!, $variants: [ProductVariantsBulkInput!]!) {
  productVariantsBulkUpdate(productId: $product, variants: $variants, allowPartialUpdates: true) {
    productVariants { id price }
    userErrors { code field message }
  }
}
"""

_LINES = """
fragment Lines on LineItemConnection {
  nodes {
    id
    sku
    name
    quantity
    currentQuantity
    originalUnitPriceSet { shopMoney { amount } }
    variant { inventoryItem { id } }
  }
  pageInfo { hasNextPage endCursor }
}
"""

# The address is protected data: an app that is not approved for it gets null and an error for this field alone.
_ORDER = (
    """
fragment Order on Order {
  id
  name
  test
  createdAt
  updatedAt
  cancelledAt
  displayFinancialStatus
  currencyCode
  totalShippingPriceSet { shopMoney { amount } }
  totalTaxSet { shopMoney { amount } }
  currentTotalDiscountsSet { shopMoney { amount } }
  totalRefundedSet { shopMoney { amount } }
  shippingAddress { countryCodeV2 }
  lineItems(first: 5) { ...Lines }
}
"""
    + _LINES
)

ORDERS = (
    """
query Orders($query: String!, $after: String) {
  orders(first: 25, after: $after, query: $query, sortKey: UPDATED_AT) {
    nodes { ...Order }
    pageInfo { hasNextPage endCursor }
  }
}
"""
    + _ORDER
)

READ_ORDERS = (
    """
query ReadOrders($ids: [ID!]!) {
  nodes(ids: $ids) { ...Order }
}
"""
    + _ORDER
)

ORDER_LINES = (
    """
query OrderLines($order: ID!, $after: String) {
  order(id: $order) { lineItems(first: 150, after: $after) { ...Lines } }
}
"""
    + _LINES
)

_REFUND_LINES = """
fragment RefundLines on RefundLineItemConnection {
  nodes { quantity restockType lineItem { id } subtotalSet { shopMoney { amount } } }
  pageInfo { hasNextPage endCursor }
}
"""

REFUNDS = (
    """
query Refunds($order: ID!) {
  order(id: $order) {
    refunds {
      id
      totalRefundedSet { shopMoney { amount } }
      refundLineItems(first: 20) { ...RefundLines }
    }
  }
}
"""
    + _REFUND_LINES
)

REFUND_LINES = (
    """
query RefundLines($refund: ID!, $after: String) {
  node(id: $refund) { ... on Refund { refundLineItems(first: 200, after: $after) { ...RefundLines } } }
}
"""
    + _REFUND_LINES
)

SHOP = """
query Shop {
  shop { name currencyCode }
  currentAppInstallation { accessScopes { handle } }
}
"""

LOCATIONS = """
query Locations($after: String) {
  locations(first: 250, after: $after) {
    nodes { id name isActive fulfillsOnlineOrders }
    pageInfo { hasNextPage endCursor }
  }
}
"""

CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    client TEXT NOT NULL,
    amount REAL NOT NULL
);
CREATE INDEX orders_by_client ON orders (client);

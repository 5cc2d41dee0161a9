"""Statements as the vendors write them, in several currencies and layouts. Names and numbers are invented."""

# ruff: noqa: E501

SHOPIFY = """\
Transaction Date,Type,Order,Card Brand,Card Source,Payout Status,Payout Date,Payout ID,Available On,Amount,Fee,Net,Checkout,Payment Method Name,Presentment Amount,Presentment Currency,Currency
2026-11-03 10:15:22 +0100,charge,#1001,visa,online,paid,2026-11-05,91000000001,2026-11-05,1290.00,22.57,1267.43,#c1,card,1290.00,EUR,EUR
2026-11-03 11:40:00 +0100,charge,#1002,mastercard,online,paid,2026-11-05,91000000001,2026-11-05,460.00,8.05,451.95,#c2,card,500.00,USD,EUR
2026-11-03 23:30:00 -0500,charge,#1003,amex,online,paid,2026-11-05,91000000001,2026-11-05,612.50,12.25,600.25,#c3,shop_pay,100000,JPY,EUR
2026-11-04 09:00:00 +0100,refund,#1001,visa,online,paid,2026-11-05,91000000001,2026-11-05,-290.00,0.00,-290.00,#c1,card,-290.00,EUR,EUR
2026-11-04 09:30:00 +0100,chargeback,#0990,visa,online,paid,2026-11-05,91000000001,2026-11-05,-200.00,15.00,-215.00,#c0,card,-200.00,EUR,EUR
2026-11-06 10:00:00 +0100,charge,#1004,visa,online,pending,,,2026-11-09,99.00,1.99,97.01,#c4,card,99.00,EUR,EUR
"""

STRIPE = """\
"balance_transaction_id","created_utc","created","available_on","currency","gross","fee","net","reporting_category","automatic_payout_id","automatic_payout_effective_at","source_id","charge_id","description","customer_facing_amount","customer_facing_currency","payment_metadata[order_id]"
"txn_1","2026-11-03 09:15:22","2026-11-03 10:15:22","2026-11-05 00:00:00","kwd","120.500","3.615","116.885","charge","po_1","2026-11-05 00:00:00","ch_1","ch_1","Order 2001","120.500","kwd","2001"
"txn_2","2026-11-03 12:00:00","2026-11-03 13:00:00","2026-11-05 00:00:00","kwd","-20.500","0.000","-20.500","refund","po_1","2026-11-05 00:00:00","re_1","ch_1","Refund","-20.500","kwd","2001"
"txn_3","2026-11-04 00:00:00","2026-11-04 01:00:00","2026-11-05 00:00:00","kwd","-1.005","0.000","-1.005","fee","po_1","2026-11-05 00:00:00","fee_1","","Billing","","",""
"txn_4","2026-11-05 00:00:00","2026-11-05 01:00:00","2026-11-05 00:00:00","kwd","-95.380","0.000","-95.380","payout","","","po_1","","STRIPE PAYOUT","","",""
"""

STRIPE_JSON = """\
{"object": "list", "url": "/v1/balance_transactions", "has_more": false, "data": [
 {"id": "txn_9", "object": "balance_transaction", "amount": 98000, "currency": "jpy", "fee": 3528, "net": 94472,
  "created": 1793700000, "available_on": 1793900000, "reporting_category": "charge", "type": "charge", "exchange_rate": null,
  "description": "Order 3001", "source": {"id": "ch_9", "object": "charge", "amount": 98000, "currency": "jpy",
  "billing_details": {"name": "Aiko Tanaka", "email": "aiko@example.jp"}, "metadata": {"order_id": "3001"}}},
 {"id": "txn_10", "object": "balance_transaction", "amount": -94472, "currency": "jpy", "fee": 0, "net": -94472,
  "created": 1793900000, "available_on": 1793900000, "reporting_category": "payout", "type": "payout",
  "description": "STRIPE PAYOUT", "source": "po_9"}]}
"""

PAYPAL = """\
"Date","Time","TimeZone","Name","Type","Status","Currency","Gross","Fee","Net","From Email Address","To Email Address","Transaction ID","Invoice Number","Reference Txn ID"
"03/11/2026","10:15:22","CET","Élodie Durand","Express Checkout Payment","Completed","EUR","1.290,00","-44,18","1.245,82","elodie@example.fr","shop@maison.example","4AB12345CD678901E","1005",""
"13/11/2026","08:00:00","CET","Élodie Durand","Payment Refund","Completed","EUR","-290,00","0,00","-290,00","shop@maison.example","elodie@example.fr","4AB12345CD678902E","","4AB12345CD678901E"
"14/11/2026","09:00:00","CET","","General Withdrawal","Completed","EUR","-900,00","0,00","-900,00","","","4AB12345CD678903E","",""
"15/11/2026","09:00:00","CET","John Smith","Express Checkout Payment","Pending","USD","80,00","0,00","80,00","john@example.com","shop@maison.example","4AB12345CD678904E","1006",""
"16/11/2026","09:00:00","CET","","General Currency Conversion","Completed","USD","-100,00","0,00","-100,00","","","4AB12345CD678905E","","4AB12345CD678909E"
"16/11/2026","09:00:00","CET","","General Currency Conversion","Completed","EUR","91,50","0,00","91,50","","","4AB12345CD678906E","","4AB12345CD678909E"
"""

AMAZON_HEAD = (
    "settlement-id\tsettlement-start-date\tsettlement-end-date\tdeposit-date\ttotal-amount\tcurrency\ttransaction-type\t"
    "order-id\tmerchant-order-id\tadjustment-id\tshipment-id\tmarketplace-name\tamount-type\tamount-description\tamount\t"
    "fulfillment-id\tposted-date\tposted-date-time\torder-item-code\tsku\tquantity-purchased"
)


def amazon_row(type_: str, order: str, amount_type: str, words: str, amount: str, adjustment: str = "") -> str:
    shipment = "S1" if order and not adjustment else ""
    cells = [
        "19999999999",
        "",
        "",
        "",
        "",
        "",
        type_,
        order,
        order,
        adjustment,
        shipment,
        "Amazon.de",
        amount_type,
        words,
    ]
    return "\t".join([*cells, amount, "AFN", "03.11.2026", "03.11.2026 10:15:22 UTC", "1", "LUX-BELT-01", "1"])


AMAZON = "\n".join(
    [
        AMAZON_HEAD,
        "\t".join(
            [
                "19999999999",
                "01.11.2026 00:00:00 UTC",
                "14.11.2026 00:00:00 UTC",
                "16.11.2026 00:00:00 UTC",
                "98,60",
                "EUR",
            ]
            + [""] * 15
        ),
        amazon_row("Order", "302-1234567-1234567", "ItemPrice", "Principal", "168,07"),
        amazon_row("Order", "302-1234567-1234567", "ItemPrice", "Tax", "31,93"),
        amazon_row("Order", "302-1234567-1234567", "Promotion", "Principal", "-20,00"),
        amazon_row("Order", "302-1234567-1234567", "ItemWithheldTax", "MarketplaceFacilitatorVAT-Principal", "-31,93"),
        amazon_row("Order", "302-1234567-1234567", "ItemFees", "Commission", "-27,00"),
        amazon_row("Refund", "302-7654321-7654321", "ItemPrice", "Principal", "-50,00", "A1"),
        amazon_row("Refund", "302-7654321-7654321", "ItemFees", "Commission", "7,50", "A1"),
        amazon_row("ServiceFee", "", "other-transaction", "Subscription Fee", "-39,00"),
        amazon_row("other-transaction", "", "other-transaction", "Previous Reserve Amount Balance", "59,03"),
    ]
)

CAMT_02 = """<?xml version="1.0" encoding="ISO-8859-1"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt><GrpHdr><MsgId>M1</MsgId>
<CreDtTm>2026-11-06T20:00:00</CreDtTm></GrpHdr><Stmt><Id>2026-212</Id><ElctrncSeqNb>212</ElctrncSeqNb>
<Acct><Id><IBAN>FR7630006000011234567890189</IBAN></Id><Ccy>EUR</Ccy></Acct>
<Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">1000.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-11-05</Dt></Dt></Bal>
<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">2882.10</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-11-06</Dt></Dt></Bal>
<Ntry><Amt Ccy="EUR">1814.63</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>2026-11-06</Dt></BookgDt><ValDt><Dt>2026-11-06</Dt></ValDt>
<AcctSvcrRef>REF-1</AcctSvcrRef><NtryDtls><TxDtls><Refs><EndToEndId>91000000001</EndToEndId></Refs>
<RltdPties><Dbtr><Nm>Shopify International Ltd</Nm></Dbtr></RltdPties><RmtInf><Ustrd>SHOPIFY PAYOUT Société Éclat</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>
<Ntry><Amt Ccy="EUR">100.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>2026-11-06</Dt></BookgDt>
<NtryDtls><TxDtls><Amt Ccy="EUR">60.00</Amt><RmtInf><Ustrd>first</Ustrd></RmtInf></TxDtls>
<TxDtls><Amt Ccy="EUR">40.00</Amt><RmtInf><Ustrd>second</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>
<Ntry><Amt Ccy="EUR">32.53</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>2026-11-06</Dt></BookgDt><AddtlNtryInf>Account fee</AddtlNtryInf></Ntry>
<Ntry><Amt Ccy="EUR">5.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>PDNG</Sts><BookgDt><Dt>2026-11-06</Dt></BookgDt></Ntry>
</Stmt></BkToCstmrStmt></Document>
"""

CAMT_08 = (
    CAMT_02.replace("camt.053.001.02", "camt.053.001.08")
    .replace("<Sts>BOOK</Sts>", "<Sts><Cd>BOOK</Cd></Sts>")
    .replace("<Sts>PDNG</Sts>", "<Sts><Cd>PDNG</Cd></Sts>")
    .replace(
        "<Dbtr><Nm>Shopify International Ltd</Nm></Dbtr>", "<Dbtr><Pty><Nm>Shopify International Ltd</Nm></Pty></Dbtr>"
    )
)

MT940 = """\
:20:STARTUMS
:25:37040044/0532013000
:28C:00212/001
:60F:C261105EUR1000,00
:61:2611061106CR1814,63NTRFNONREF//8327000090031789
:86:166?00SEPA GUTSCHRIFT?20EREF+91000000001?21SVWZ+SHOPIFY PAYOUT?22 NOVEMBER?30DEUTDEFF?31DE02120300000000202051?32SHOPIFY
?33 INTERNATIONAL
:61:2611061106D32,63NCHGNONREF
:86:Account fee
:62F:C261106EUR2782,00
-
:20:STARTUMS
:25:37040044/0532013000
:28C:00213/001
:60F:C261106EUR2782,00
:61:2611071107CR700,00NTRFPO2026//77
:86:/TRTP/SEPA OVERBOEKING/IBAN/NL91ABNA0417164300/BIC/ABNANL2A/NAME/B2B Client BV/REMI/Order 1001/EREF/E2E-7
:62F:C261107EUR3482,00
-
"""

BANK_MAP = """
columns: {booked_on: Buchungstag, value_on: Valuta, amount: Betrag, currency: Waehrung, counterparty: Beguenstigter,
          reference: Verwendungszweck, balance: Saldo}
"""
BANK_CSV = """\
Buchungstag;Valuta;Beguenstigter;Verwendungszweck;Betrag;Waehrung;Saldo
06.11.2026;06.11.2026;Shopify International;SHOPIFY 91000000001;1.814,63;EUR;2.814,63
07.11.2026;07.11.2026;Müller GmbH;Rechnung 1001;-14,63;EUR;2.800,00
"""

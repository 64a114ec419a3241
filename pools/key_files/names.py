"""Names of columns in the languages of the trade, and the meanings of the cells of a state column."""

import re
import unicodedata
from enum import Enum
from functools import lru_cache

_LETTERS_AND_DIGITS = re.compile(r"[\W_]+")


def fold_name(name: str) -> str:
    """A column's name without case, accents, spaces and punctuation: `Clé d'activation` is `cledactivation`."""
    folded = unicodedata.normalize("NFKD", name.replace("ł", "l").replace("Ł", "l")).casefold()
    return _LETTERS_AND_DIGITS.sub("", "".join(letter for letter in folded if not unicodedata.combining(letter)))


def _names(text: str) -> frozenset[str]:
    return frozenset(fold_name(name) for name in text.split(",") if name.strip())


# Of a column with keys.
KEY_NAMES = _names("""
    key, keys, key (guarded), the key, key code, keycode, code, codes, key text, cd key, cdkey, game key, game code,
    steam key, steam code, license key, license keys, licence key, licence keys, license code, licence code, license
    number, licence number, license no, licence no, serial, serials, serial key, serial keys, serial number, serial
    numbers, serial no, serial code, serialnr, s/n, activation key, activation keys, activation code, activation
    codes, activation number, product key, product keys, registration key, registration code, registration number,
    redemption code, redeem code, redeem key, unlock code, unlock key, download code, download key, access code,
    access key, voucher, vouchers, voucher code, voucher codes, voucher number, voucher no, coupon code, coupon codes,
    promo code, promotion code, gift code, gift card code, gift card number, card code, digital code, software key,
    retail key, windows key, office key, oem key, pin code, pincode, code key, key value, key string, license string,
    Schlüssel, Schluessel, Lizenzschlüssel, Lizenzschluessel, Lizenz-Schlüssel, Lizenzcode, Lizenznummer, Lizenz-Nr,
    Lizenzkey, Lizenz-Key, Key-Code, Seriennummer, Seriennummern, Serien-Nr, Seriennr, Aktivierungscode,
    Aktivierungscodes, Aktivierungsschlüssel, Aktivierungsschluessel, Aktivierungskey, Aktivierungsnummer,
    Produktschlüssel, Produktschluessel, Produktkey, Produkt-Key, Produktcode Key, Freischaltcode, Freischaltcodes,
    Freischaltschlüssel, Freischaltschluessel, Registrierungscode, Registrierungsschlüssel, Gutscheincode,
    Gutscheincodes, Gutscheinnummer, Gutschein-Nr, Einlösecode, Einloesecode, Zugangscode, Downloadcode,
    clé, clef, clés, clé de licence, clés de licence, clef de licence, clé licence, code de licence,
    numéro de licence, numéro de série, n° de série, no de série, clé d'activation, clef d'activation,
    code d'activation, codes d'activation, clé produit, clé de produit, clef de produit, code d'accès,
    code de téléchargement, code promo, code cadeau, bon d'achat, code coupon, code bon, clé logiciel,
    clave, claves, clave de licencia, llave, llave de licencia, código de licencia, número de licencia,
    clave de activación, código de activación, códigos de activación, clave de producto, clave del producto,
    número de serie, nº de serie, n.º de serie, código, códigos, código de canje, código promocional, cupón, vale,
    código de acceso, código de cupón,
    chiave, chiavi, chiave di licenza, chiave licenza, codice, codici, codice di licenza, codice licenza,
    codice di attivazione, codice attivazione, chiave di attivazione, chiave prodotto, chiave del prodotto,
    numero di serie, numero seriale, seriale, codice seriale, codice sconto, buono, codice buono, codice coupon,
    codice promozionale, codice di accesso, numero di licenza,
    chave, chaves, chave de licença, código de licença, número de licença, chave de ativação, chave de activação,
    código de ativação, código de activação, chave do produto, chave de produto, número de série, nº de série,
    cupom, cupão, código de resgate, código promocional, código de acesso,
    sleutel, sleutels, licentiesleutel, licentiecode, licentienummer, activeringscode, activatiecode,
    activeringssleutel, activatiesleutel, productsleutel, productcode sleutel, serienummer, serienummers, vouchercode,
    kortingscode, cadeaucode, toegangscode, tegoedboncode,
    klucz, klucze, klucz licencji, klucz licencyjny, kod, kody, kod licencji, numer licencji, klucz aktywacyjny,
    kod aktywacyjny, klucz produktu, numer seryjny, kod produktu klucz, kod rabatowy, voucher kod, bon, kod dostępu,
    klíč, klíče, licenční klíč, licenční číslo, aktivační kód, aktivační klíč, produktový klíč, sériové číslo, kód,
    kľúč, licenčný kľúč, aktivačný kód, sériové číslo,
    nyckel, nycklar, licensnyckel, licenskod, aktiveringskod, aktiveringsnyckel, produktnyckel, serienummer, kod,
    nøgle, nøgler, licensnøgle, licenskode, aktiveringskode, aktiveringsnøgle, produktnøgle, kode,
    nøkkel, nøkler, lisensnøkkel, lisenskode, aktiveringsnøkkel, produktnøkkel,
    avain, avaimet, lisenssiavain, aktivointikoodi, aktivointiavain, tuoteavain, sarjanumero, koodi,
    kulcs, licenckulcs, aktiváló kód, aktiválási kód, termékkulcs, sorozatszám, kód,
    cheie, cheie de licență, cod de activare, cheie de activare, cheie de produs, număr de serie, cod,
    anahtar, lisans anahtarı, lisans kodu, aktivasyon kodu, aktivasyon anahtarı, ürün anahtarı, seri numarası, seri no,
    kod, hediye kodu,
    ключ, ключи, ключ активации, код активации, лицензионный ключ, ключ лицензии, код, серийный номер, ключ продукта,
    код продукта ключ, ключ активації, код активації, ліцензійний ключ, серійний номер,
    κλειδί, κλειδί άδειας, κωδικός, κωδικός ενεργοποίησης, σειριακός αριθμός,
    キー, ライセンスキー, シリアル, シリアルキー, シリアル番号, シリアルナンバー,
    プロダクトキー, アクティベーションコード, コード,
    密钥, 激活码, 序列号, 许可证密钥, 产品密钥, 兑换码, 卡密, 金鑰, 序號, 啟用碼, 產品金鑰, 授权码, 注册码,
    키, 라이선스 키, 시리얼, 시리얼 번호, 제품 키, 활성화 코드, 코드,
""")
# Perhaps of a column with keys, perhaps of one with the names of licenses.
WEAK_KEY_NAMES = _names("""
    license, licenses, licence, licences, Lizenz, Lizenzen, licencia, licencias, licenza, licenze, licença, licenças,
    licentie, licenties, licencja, licencje, licens, lisens, лицензия, ліцензія, lisans, pin, token, secret, coupon,
    coupons, Gutschein, Gutscheine, card number, bono, tegoedbon, kupon, rabattkod,
""")
# Of other columns, which only a header has.
OTHER_NAMES = _names("""
    id, no, nr, number, Nummer, numéro, número, numero, nummer, numer, n°, value,
    pos, position, index, row, line, item, sku, ean, upc, gtin, isbn, article, product, products,
    product name, product id, product code, title, name, game, app, software, edition, version, platform, region,
    country, language, currency, price, amount, cost, msrp, quantity, qty, count, total, date, time, created,
    created at, updated, updated at, added, expires, expiry, expiry date, expiration, expiration date, valid until,
    valid from, order, order id, order number, order no, invoice, reference, ref, batch, batch id, import, pool,
    policy, customer, customer name, customer id, client, user, user name, username, owner, buyer, company, vendor,
    partner, supplier, publisher, shop, store, first name, last name, email, e-mail, mail, phone, address, city, note,
    notes, comment, comments, remark, remarks, description, type, kind, category, tag, tags, label, group, url, link,
    Artikel, Artikelnummer, Artikel-Nr, Produkt, Produktname, Bezeichnung, Titel, Spiel, Programm, Ausgabe, Preis,
    Betrag, Menge, Anzahl, Summe, Datum, Uhrzeit, Erstellt, Ablauf, Ablaufdatum, gültig bis, gültig ab, Bestellung,
    Bestellnummer, Auftrag, Auftragsnummer, Rechnung, Rechnungsnummer, Kunde, Kunden, Kundenname, Kundennummer,
    Käufer, Benutzer, Firma, Händler, Lieferant, Vorname, Nachname, Telefon, Adresse, Ort, Land, Sprache, Bemerkung,
    Bemerkungen, Notiz, Notizen, Kommentar, Beschreibung, Typ, Art, Kategorie, Laufende Nummer, lfd Nr, Zeile, Nr.,
    produit, nom, nom du produit, article, titre, jeu, prix, montant, quantité, date de création, expiration,
    date d'expiration, valable jusqu'au, commande, numéro de commande, facture, client, acheteur, utilisateur,
    société, fournisseur, prénom, téléphone, adresse, ville, pays, langue, remarque, commentaire, description, lot,
    producto, nombre, artículo, título, juego, precio, importe, cantidad, fecha, caducidad, fecha de caducidad,
    válido hasta, pedido, número de pedido, factura, cliente, comprador, usuario, empresa, proveedor, apellido,
    correo, correo electrónico, teléfono, dirección, ciudad, país, idioma, nota, comentario, descripción, lote,
    prodotto, nome, articolo, titolo, gioco, prezzo, importo, quantità, data, scadenza, data di scadenza, valido fino,
    ordine, numero ordine, fattura, cliente, acquirente, utente, azienda, fornitore, cognome, telefono, indirizzo,
    città, paese, lingua, nota, note, commento, descrizione, lotto,
    produto, nome, artigo, título, jogo, preço, valor, quantidade, data, validade, válido até, pedido, encomenda,
    fatura, cliente, comprador, usuário, utilizador, empresa, fornecedor, telefone, endereço, cidade, país, idioma,
    observação, comentário, descrição, lote,
    naam, productnaam, artikel, titel, spel, prijs, bedrag, aantal, datum, vervaldatum, geldig tot, bestelling,
    bestelnummer, factuur, klant, koper, gebruiker, bedrijf, leverancier, voornaam, achternaam, telefoon, adres,
    plaats, taal, opmerking, opmerkingen, omschrijving, beschrijving, soort, partij,
    produkt, nazwa, nazwa produktu, artykuł, tytuł, gra, cena, kwota, ilość, data, data ważności, ważny do,
    zamówienie, numer zamówienia, faktura, klient, kupujący, użytkownik, firma, dostawca, imię, nazwisko, telefon,
    adres, miasto, kraj, język, uwagi, komentarz, opis, typ, partia, lp,
    vare, kunde, pris, dato, ordre, navn, produkt, kund, namn, pris, beställning, tuote, asiakas, hinta, päivämäärä,
    zákazník, cena, název, objednávka, termék, ügyfél, ár, dátum, rendelés, ürün, müşteri, fiyat, tarih, sipariş,
    продукт, товар, название, клиент, цена, дата, заказ, игра, имя, примечание,
""")
# Of a column that says whether a key is used: by any value but no, by the word, or by yes for a free one.
_MARK_NAMES = _names("""
    used, is used, already used, used at, used on, used by, date used, popped, popped at, withdrawn, withdrawn at,
    sold, is sold, sold at, sold on, sold to, date sold, redeemed, is redeemed, redeemed at, redeemed on, redeemed by,
    redemption date, assigned, is assigned, assigned at, assigned on, assigned to, assignee, claimed, claimed at,
    claimed by, is claimed, activated, is activated, activated at, activated on, activated by, activation date,
    consumed, consumed at, taken, taken by, issued, issued at, issued to, is issued, handed out, handed out to,
    given out, given to, delivered, delivered at, delivered to, sent, sent at, sent to, shipped, revoked, revoked at,
    cancelled, canceled, blocked, invalid, refunded, returned, reserved, reserved for, allocated, allocated to,
    distributed, expended, disclosed, in use,
    benutzt, verwendet, gebraucht, verbraucht, verkauft, verkauft am, verkauft an, eingelöst, eingelöst am,
    eingelöst von, vergeben, vergeben an, vergeben am, zugewiesen, zugewiesen an, zugeteilt, ausgegeben,
    ausgegeben an, ausgegeben am, aktiviert, aktiviert am, ausgeliefert, geliefert, gesperrt, widerrufen, storniert,
    reserviert, reserviert für, genutzt, versendet, versandt, gesendet an, zurückgezogen,
    utilisé, utilisée, utilisé le, utilisé par, vendu, vendue, vendu le, vendu à, attribué, attribuée, attribué à,
    activé le, activée le, échangé, consommé, livré, envoyé, envoyé à, révoqué, annulé, réservé, bloqué, retiré,
    usado, usada, usado por, utilizado, utilizada, vendido, vendida, vendido a, canjeado, canjeada, asignado,
    asignada, asignado a, activado, activada, entregado, entregada, enviado, revocado, anulado, reservado, bloqueado,
    usato, usata, utilizzato, utilizzata, venduto, venduta, venduto a, riscattato, riscattata, assegnato, assegnata,
    assegnato a, attivato, attivata, consegnato, inviato, revocato, annullato, riservato, bloccato,
    resgatado, resgatada, atribuído, atribuída, ativado, ativada, entregue, cancelado,
    gebruikt, verkocht, verkocht aan, ingewisseld, verzilverd, toegewezen, toegewezen aan, geactiveerd, uitgegeven,
    geleverd, verzonden, ingetrokken, geblokkeerd, gereserveerd,
    użyty, użyte, użyto, wykorzystany, wykorzystane, sprzedany, sprzedane, sprzedano, zrealizowany, przypisany,
    przypisane, przypisano, aktywowany, aktywowano, wydany, wydano, wysłany, zablokowany, zarezerwowany,
    použitý, použito, prodáno, prodaný, aktivováno, brugt, solgt, använd, såld, brukt, käytetty, myyty, használt,
    eladva, kullanıldı, satıldı, использован, использовано, продан, продано, активирован, выдан, выдано, отправлен,
    felhasznált, felhasználva, eladott, kiadva, folosit, folosită, utilizat, vândut, vândută, activat, atribuit,
    використаний, використано, проданий, активований, видано, verkaufsdatum, verkaufstag, einlösedatum, einlösung,
    aktivierungsdatum, versanddatum, ausgabedatum, ausgehändigt, verschickt, verbraucht, erhalten von, date de vente,
    date d'activation, fecha de venta, fecha de activación, data di vendita, data di attivazione, data da venda,
    verkoopdatum, data sprzedaży, data aktywacji, дата продажи, дата активации, sale date, date of sale,
    使用済み, 使用済, 使用日, 販売済み, 販売日, 已使用, 已售, 已售出, 已激活, 已兑换,
    사용여부, 사용일, 판매여부, 판매일,
""")
_STATUS_NAMES = _names("""
    status, state, key status, key state, code status, license status, licence status,
    Zustand, Schlüsselstatus, Lizenzstatus, Verwendung, statut, état, estado, situación, stato, situação, situacao,
    toestand, stan, stav, tila, állapot, stare, durum, статус, состояние, стан, 状態, 状态, 狀態, ステータス, 상태,
""")
_FREE_NAMES = _names("""
    available, is available, availability, free, is free, unused, not used, unsold, in stock, valid, is valid, usable,
    active, is active, enabled, is enabled, aktiv, verfügbar, Verfügbarkeit, disponibilité, disponibilidad,
    disponibilità, disponibilidade, beschikbaarheid, dostępność, наличие, доступен, attivo, activo, ativo, actief,
    aktywny, активен, 可用, 有効, 사용 가능, frei,
    unbenutzt, unverkauft, gültig, disponible, libre, disponibile, libero, disponível,
    beschikbaar, vrij, dostępny, dostępne, wolny,
""")
# Of our own exports: the key and these columns. Its license is not a key.
OWN_KEY_NAMES, OWN_OTHER_NAMES = ("key", "keyguarded"), frozenset(("created", "popped", "withdrawn"))

# Of a customer or an order: where a row has one, its key was sold.
_CUSTOMER_NAMES = _names("""
    customer, customer name, customer id, customer email, client, client name, buyer, buyer name, buyer email, owner,
    owner name, user, user name, username, recipient, email, e-mail, mail, order, order id, order number, order no,
    order date, invoice, invoice number, first name, last name, Kunde, Kunden, Kundenname, Kundennummer, Kunden-Nr,
    Käufer, Empfänger, Besitzer, Benutzer, Bestellung, Bestellnummer, Bestell-Nr, Auftrag, Auftragsnummer, Rechnung,
    Rechnungsnummer, Vorname, Nachname, acheteur, destinataire, commande, numéro de commande, facture, cliente,
    comprador, destinatario, pedido, número de pedido, factura, correo electrónico, acquirente, ordine, numero ordine,
    fattura, fatura, encomenda, klant, koper, ontvanger, bestelling, bestelnummer, factuur, klient, kupujący, odbiorca,
    zamówienie, numer zamówienia, faktura, kund, köpare, asiakas, zákazník, objednávka, ügyfél, rendelés, müşteri,
    sipariş, клиент, покупатель, заказ, клієнт, покупець, замовлення, vevő, címzett, cumpărător, comandă, 客户, 客戶,
    订单, 訂單, 顧客, 注文, 고객, 주문,
""")
# The uses of a key so far, and those that are left.
_COUNT_NAMES = _names("""
    uses, usage, usages, use count, usage count, usage status, activations, activation count, redemptions, redeem count,
    redemption count, times, number of uses, number of activations, Nutzungen, Aktivierungen, Einlösungen,
    utilisations, activations, usos, activaciones, utilizzi, attivazioni, usos, ativações, activeringen, użycia,
    aktywacje, использований, активаций,
""")
_REMAINING_NAMES = _names("""
    remaining, balance, Guthaben, Restguthaben, solde, saldo, остаток, 余额, 残高, 잔액,
""")
STATE_NAMES = _MARK_NAMES | _STATUS_NAMES | _FREE_NAMES | _CUSTOMER_NAMES | _COUNT_NAMES | _REMAINING_NAMES


class StateKind(Enum):
    """How the cells of a state column are read."""

    MARK = "it was used: any value but no"
    CUSTOMER = "who has it: any value but no"
    STATUS = "the word for its state"
    FREE = "it can be used: yes, or a word for free"
    COUNT = "how often it was used: a number but zero"
    REMAINING = "how often it can still be used: zero"


# Words that make the name of a column one of a state, with any other words.
_WORDS = (
    (StateKind.REMAINING, _names("remaining, left, balance, übrig, verbleibend, restants, restantes, rimanenti")),
    (StateKind.COUNT, _names("uses, usage, usages, activations, redemptions, times, Nutzungen, Aktivierungen, mal")),
    (
        StateKind.FREE,
        _names("available, availability, unused, unsold, unredeemed, unclaimed, verfügbar, verfügbarkeit"),
    ),
    (
        StateKind.STATUS,
        _names("status, state, statut, estado, stato, situação, stan, stav, állapot, stare, статус, состояние, стан"),
    ),
    (
        StateKind.MARK,
        _names("""
            used, sold, redeemed, redemption, activated, assigned, assignee, issued, handed, sent, delivered, refunded,
            cancelled, canceled, revoked, expired, disabled, deleted, defective, transaction, popped, withdrawn,
            claimed, consumed, shipped, purchased, allocated, distributed, blocked, banned, returned, reserved,
            verkauft, verwendet, eingelöst, ausgehändigt, verbraucht, benutzt, gebraucht, genutzt, versendet, versandt,
            verschickt, vergeben, zugewiesen, aktiviert, ausgegeben, geliefert, gesperrt, storniert, widerrufen,
            reserviert, Verkaufsdatum, Transaktion, Einlösung, utilisé, utilisée, utilisés, vendu, vendue, vendus,
            attribué, attribuée, échangé, consommé, envoyé, livré, annulé, remboursé, usado, usada, utilizado,
            utilizada, vendido, vendida, canjeado, canjeada, asignado, asignada, activado, activada, enviado, entregado,
            usato, usata, utilizzato, venduto, venduta, riscattato, assegnato, attivato, inviato, consegnato,
            resgatado, atribuído, ativado, entregue, vendida, gebruikt, verkocht, ingewisseld, verzilverd, toegewezen,
            geactiveerd, verzonden, geleverd, użyty, użyte, użyto, wykorzystany, sprzedany, sprzedano, przypisany,
            aktywowany, wydany, wysłany, использован, использовано, продан, продано, активирован, выдан, отправлен,
            felhasznált, felhasználva, használt, eladott, folosit, vândut, activat, використано, використаний,
            проданий, продано
        """),
    ),
    (
        StateKind.CUSTOMER,
        _names("""
            customer, customers, recipient, recipients, buyer, buyers, purchaser, email, emails, mail, user, username,
            owner, client, order, orders, invoice, Kunde, Kunden, Kundin, Käufer, Empfänger, Bestellung, Auftrag,
            acheteur, destinataire, commande, courriel, cliente, comprador, destinatario, destinatário, pedido, correo,
            acquirente, ordine, encomenda, klant, koper, ontvanger, bestelling, klient, kupujący, odbiorca, zamówienie,
            клиент, покупатель, получатель, заказ, клієнт, покупець, vevő, címzett, cumpărător, comandă
        """),
    ),
)
# Words that make it another column: limits; people who sell (with words for a customer); how to redeem a key.
_LIMIT_WORDS = _names("max, maximum, limit, limits, allowed, permitted, sort")
_SELLER_WORDS = _names("support, vendor, supplier, publisher, seller, partner, price, Preis, Lieferant, Händler, prix")
_GUIDE_WORDS = _names("url, link, instructions, deadline, region, country, site, website, platform, store")
_DATE_WORDS = _names("date, datum, time, at, on, day, id, no, number, status, count, by")
_IDEOGRAPHS = re.compile(
    "|".join(map(fold_name, ("使用済", "已使用", "已售", "已激活", "販売済", "사용여부", "판매여부")))
)
_IDEOGRAPHS_OF_STATUS = re.compile("|".join(map(fold_name, ("状態", "状态", "狀態", "ステータス", "상태"))))
_NOT = _names(
    "not, nicht, no, non, pas, sin, não, nao, sem, niet, nie, ne, не, není, inte, ikke, ikkje, ei, nem, nu, değil"
)
_STILL = _names("still, yet, noch, encore, ancora, aún, aun, todavía, ainda, nog, jeszcze, ещё, еще, ще, är, is")

_NO = _names("""
    no, n, false, f, 0, 00, none, null, nil, nan, n/a, na, never, not, not used, unused, off, nein, falsch, nie, keine,
    non, faux, jamais, falso, não, nunca, nee, niet, geen, onwaar, fałsz, brak, ne, nej, nei, ei, nem, nu, hayır,
    нет, ні, false(), 否, 没有, いいえ, なし, 無, 无, 아니오, 아니요, 없음, 未,
""")
_YES = _names("""
    yes, y, true, t, 1, x, ok, ja, j, wahr, oui, o, vrai, si, s, sí, verdadero, vero, sim, verdadeiro, waar, tak,
    prawda, ano, igen, da, evet, да, так, kyllä, on, 是, はい, 有, 예, 네,
""")
_FREE_WORDS = _names("""
    available, free, unused, not used, unsold, not sold, new, open, in stock, stock, ready, unclaimed, unredeemed,
    not redeemed, unassigned, not assigned, not activated, inactive, unissued, not issued, fresh, valid, ok, unpopped,
    verfügbar, frei, unbenutzt, nicht benutzt, unverkauft, nicht verkauft, neu, offen, auf Lager, lagernd, nicht
    eingelöst, nicht vergeben, nicht aktiviert, nicht verwendet, gültig, disponible, libre, nouveau, neuf, inutilisé,
    non utilisé, en stock, nuevo, no usado, sin usar, en existencia, disponibile, libero, nuovo, non usato,
    disponível, novo, não usado, beschikbaar, vrij, nieuw, ongebruikt, niet gebruikt, dostępny, dostępne,
    wolny, nowy, nieużyty, niesprzedany, nevyužitý, volný, nový, ledig, ny, oanvänd, ubrugt, vapaa, uusi, szabad, új,
    boş, yeni, свободен, свободно, новый, доступен, доступно, в наличии, на складе, вільний, в наявності, доступний,
    en almacén, in magazzino, em estoque, em stock, op voorraad, na stanie, w magazynie, skladem, på lager, i lager,
    raktáron, în stoc, liber, stokta, unassigned, never used, 未使用, 可用,
    未售, 未售出, 未激活, 在庫あり,
    利用可能, 有効, 空闲, 미사용, 사용 가능, 사용안함, 판매안함,
""")
_DASHES = "-–—−/."
_COUNTED = "rows?|keys?|codes?|records?|lines?|entries|items?|vouchers?|Zeilen|Schlüssel|Codes|Einträge|Stück|pcs"
_TOTAL = re.compile(
    r"(?:(?:grand |sub)?totals?|sum|summe|gesamt|gesamtsumme|anzahl|count|total général|totale|totaal|suma|razem|"
    r"łącznie|итого|всего|number of (?:keys|codes|rows)|total (?:keys|codes|rows|records|number))"
    rf"\s*[:=;,]?\s*[\d.,' ]*(?:{_COUNTED})?\W*"
    rf"|\(?[\d.,]+ (?:{_COUNTED})(?: [a-z]+){{0,2}}\W*",
    re.IGNORECASE,
)


_CAMEL = re.compile(r"(?<=[a-zß-öø-ÿ])(?=[A-ZÀ-ÖØ-Þ])")
_ACTIVATED = re.compile(r"activée?s?\b", re.IGNORECASE)  # without its accent it is the English word active
_ZERO = re.compile(r"0+(?:[.,]0*)?(?:\s*(?:/|of|von|de|di|van|z)\s*\d+)?")


@lru_cache(maxsize=4096)
def find_state_kind(name: str) -> StateKind | None:
    """The kind of state in a column, by the column's name. None if it is no state column."""
    if _ACTIVATED.search(unicodedata.normalize("NFC", name)):
        return StateKind.MARK
    folded = fold_name(name)
    for names, kind in _KINDS:
        if folded in names:
            return kind
    if folded in KEY_NAMES or folded in WEAK_KEY_NAMES:
        return None
    words = _words_of(name)
    if not _LIMIT_WORDS.isdisjoint(words) or ("redemption" in words and not _GUIDE_WORDS.isdisjoint(words)):
        return None
    if _IDEOGRAPHS.search(folded):
        return StateKind.MARK
    if _IDEOGRAPHS_OF_STATUS.search(folded):
        return StateKind.STATUS
    for kind, known in _WORDS:
        if not known.isdisjoint(words):
            if kind is StateKind.CUSTOMER and not _SELLER_WORDS.isdisjoint(words):
                return None
            is_negated = kind is StateKind.MARK and not _NOT.isdisjoint(words[:-1])
            return StateKind.FREE if is_negated else kind
    if {"sale", "activation"} & set(words) and not _DATE_WORDS.isdisjoint(words):
        return StateKind.MARK
    return None


_KINDS = (
    (_MARK_NAMES, StateKind.MARK),
    (_STATUS_NAMES, StateKind.STATUS),
    (_FREE_NAMES, StateKind.FREE),
    (_COUNT_NAMES, StateKind.COUNT),
    (_REMAINING_NAMES, StateKind.REMAINING),
    (_CUSTOMER_NAMES, StateKind.CUSTOMER),
)


def _words_of(text: str) -> list[str]:
    spaced = _LETTERS_AND_DIGITS.sub(" ", _CAMEL.sub(" ", unicodedata.normalize("NFC", text)))
    return [folded for word in spaced.split() if (folded := fold_name(word))]


@lru_cache(maxsize=4096)
def says_used(name: str, value: str) -> bool:
    """Whether a cell of a state column says that its key is not free, or may not be.

    Args:
        name: the column's name, for which `find_state_kind` has a kind.
    """
    kind, value = find_state_kind(name), value.strip()
    if not value.strip(_DASHES):
        return kind is StateKind.FREE and bool(value)
    folded = fold_name(value)
    if kind is StateKind.CUSTOMER:  # Frei and Neu are names of people
        return folded not in _NO
    if kind is StateKind.COUNT and (_ZERO.fullmatch(value) or folded in _NO):
        return False
    if kind is StateKind.REMAINING and any(map(str.isdecimal, value)):
        return value.startswith("-") or not any(letter.isdecimal() and int(letter) for letter in value)
    if kind is StateKind.MARK and folded in _NO or kind is StateKind.FREE and folded in _YES:
        return False
    return not _is_word_for_free(value)


def _is_word_for_free(value: str) -> bool:
    """Whether a text is a word for free, or the negation of one for used, such as `noch nicht verkauft`."""
    if fold_name(value) in _FREE_WORDS:
        return True
    words = [word for word in _words_of(value) if word not in _STILL]
    if "".join(words) in _FREE_WORDS:
        return True
    return len(words) > 1 and words[0] in _NOT and "".join(words[1:]) in _MARK_NAMES


def is_total(text: str) -> bool:
    """Whether a cell is a total or a count, such as `Total: 20` or `Summe`."""
    return bool(_TOTAL.fullmatch(text.strip()))

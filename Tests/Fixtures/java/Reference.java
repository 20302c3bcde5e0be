import java.io.*;
import java.net.*;
import java.nio.charset.StandardCharsets;
import java.text.*;
import java.time.*;
import java.time.format.*;
import java.time.temporal.*;
import java.util.*;
import java.util.regex.*;

/** Writes what the JDK itself answers, for functions whose meaning is the JDK's: `java Reference.java`, in this folder (JDK 17). */
public class Reference {
    static final Random random = new Random(92);

    public static void main(String[] arguments) throws Exception {
        Locale.setDefault(Locale.US);
        TimeZone.setDefault(TimeZone.getTimeZone("UTC"));
        regularExpressions();
        formats();
        parses();
        simpleDates();
        urls();
        numbers();
    }

    static String escape(String text) {
        return text == null ? "\\0" : text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r");
    }

    static PrintWriter file(String name) throws IOException { return new PrintWriter(name, StandardCharsets.UTF_8); }

    static void line(PrintWriter out, String... fields) {
        StringJoiner line = new StringJoiner("\t");
        for (String field : fields) line.add(escape(field));
        out.print(line + "\n");
    }

    static String pick(String... choices) { return choices[random.nextInt(choices.length)]; }

    // pattern, text, matches as byte ranges of the groups: 0-2,1-2;…; an error is !
    static void regularExpressions() throws IOException {
        try (PrintWriter out = file("regular_expressions.tsv")) {
            for (int i = 0; i < 3000; i++) {
                String pattern = choice(3), text = text();
                if ((pattern.contains("\\b") || pattern.contains("\\B")) && !text.chars().allMatch(c -> c < 128)) continue;
                String found;
                try {
                    Matcher matcher = Pattern.compile(pattern).matcher(text);
                    StringJoiner all = new StringJoiner(";");
                    while (matcher.find()) {
                        // It finds nothing between the halves of a surrogate pair that counts elsewhere.
                        if (matcher.start() > 0 && matcher.start() < text.length() && Character.isLowSurrogate(text.charAt(matcher.start()))) continue;
                        StringJoiner groups = new StringJoiner(",");
                        for (int g = 0; g <= matcher.groupCount(); g++)
                            groups.add(matcher.start(g) < 0 ? "-" : bytes(text, matcher.start(g)) + "-" + bytes(text, matcher.end(g)));
                        all.add(groups.toString());
                    }
                    found = all.toString();
                } catch (PatternSyntaxException e) { found = "!"; }
                line(out, pattern, text, found);
            }
        }
    }

    static int bytes(String text, int end) { return text.substring(0, end).getBytes(StandardCharsets.UTF_8).length; }

    static String text() {
        StringBuilder out = new StringBuilder();
        for (int i = random.nextInt(12); i > 0; i--) out.append(pick("a", "a", "b", "b", "A", "c", "1", "_", " ", "\n", "\r", "é", "😀"));
        return out.toString();
    }

    static String choice(int depth) {
        String out = sequence(depth);
        while (random.nextInt(5) == 0) out += "|" + sequence(depth);
        return out;
    }

    static String sequence(int depth) {
        StringBuilder out = new StringBuilder();
        for (int i = 1 + random.nextInt(4); i > 0; i--) {
            String atom = atom(depth);
            out.append(atom);
            // Flags and looks are not repeated: the JDK itself is of two minds there.
            if (!atom.matches("(?s)\\(\\?[^:].*|[\\\\][bBAzZ]|[$^]") && random.nextInt(3) == 0) out.append(pick("*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,}", "{1,3}?", "*+", "++", "?+"));
        }
        return out.toString();
    }

    static String atom(int depth) {
        switch (random.nextInt(depth > 0 ? 14 : 9)) {
            case 0: case 1: case 2: case 3: return pick("a", "b", "c", "A", "1", "é", "😀", "ab");
            case 4: return pick(".", "\\d", "\\w", "\\s", "\\D", "\\W", "\\S");
            case 5: return pick("[ab]", "[^a]", "[a-c&&[^b]]", "[a-c1]", "[\\w&&[^a]]", "[^\\d\\s]", "[é-ü]", "[a[1_]]", "[A-Za-z]", "[^ab&&b-c]");
            case 6: return pick("^", "$", "\\b", "\\B", "\\A", "\\z", "\\Z", "(?m)", "(?i)", "(?s)", "(?-i)");
            case 7: return pick("\\1", "\\2", "\\p{Lu}", "\\p{L}", "\\P{Alpha}", "\\R", "\\h", "\\x61", "\\u00e9", "\\Qa.b\\E");
            case 8: return pick("_", " ", "\\n", "\\.", "]", "}", "\\[");
            case 9: case 10: return "(" + choice(depth - 1) + ")";
            case 11: return "(?:" + choice(depth - 1) + ")";
            case 12: return pick("(?=", "(?!", "(?>", "(?i:") + choice(depth - 1) + ")";
            default: return pick("(?<=", "(?<!") + pick("a", "ab", "a|ab", "[ab]{1,2}", "\\w", ".b?") + ")";
        }
    }

    static final String[] zones = {"UTC", "America/Los_Angeles", "Europe/London", "Asia/Kolkata", "Asia/Tokyo", "+02:00", "GMT-3"};
    static final long[] instants = {
        0, 1, 999, 1526075913123L, -1, -86400001L, 951782400000L /* 2000-02-29 */, 1583020799999L, 1604217600000L, 1604221200000L,
        1617235200000L, 4102444800000L, -62135596800000L, -62135596800001L, 253402300800000L, 1640995199000L, 1640995200000L, 1230768000000L,
    };
    static final String[] patterns = {
        "yyyy-MM-dd HH:mm:ss.SSS", "yyyy-MM-dd'T'HH:mm:ssX", "yy-M-d H:m:s", "EEEE, d MMMM yyyy", "EEE, dd MMM yyyy HH:mm:ss Z", "E e c", "hh:mm a", "KK kk",
        "D DDD", "uuuu-'W'ww", "YYYY-'W'ww-e", "Q QQQ QQQQ", "G yyyy", "GGGG y", "XXX xxx ZZZZZ", "XX xx Z", "X x", "O OOOO", "VV", "z", "SSSSSS", "S", "A n N",
        "yyyyMMddHHmmssSSS", "[yyyy][ 'x']", "''yyyy''", "MMMMM EEEEE", "LLL", "W", "ccc cccc", "yyyyy", "B", "p", "b", "yyyy'", "{", "ZZZZ", "uu", "HHH", "aa", "",
    };

    // kind, pattern, zone, value, text; an error is \0
    static void formats() throws IOException {
        try (PrintWriter out = file("date_formats.tsv")) {
            for (String pattern : patterns) {
                for (long instant : instants) {
                    // Names of zones before there were any differ from database to database.
                    if (pattern.equals("z") && instant < -2_000_000_000_000L) continue;
                    String zone = pick(zones);
                    line(out, "timestamp", pattern, zone, "" + instant, attempt(() -> DateTimeFormatter.ofPattern(pattern).withZone(ZoneId.of(zone)).format(Instant.ofEpochMilli(instant))));
                }
                for (int days : new int[] {0, -1, 11016, 18262, 19000 + random.nextInt(2000), -719163})
                    line(out, "date", pattern, "", "" + days, attempt(() -> LocalDate.ofEpochDay(days).format(DateTimeFormatter.ofPattern(pattern))));
                for (int ms : new int[] {0, 1, 43_200_000, random.nextInt(86_400_000), 86_399_999})
                    line(out, "time", pattern, "", "" + ms, attempt(() -> LocalTime.ofNanoOfDay(ms * 1_000_000L).format(DateTimeFormatter.ofPattern(pattern))));
            }
        }
    }

    interface Body { String run() throws Exception; }

    static String attempt(Body body) {
        try { return body.run(); } catch (Exception e) { return null; }
    }

    // kind, pattern, zone, text, value; an error is \0. Missing fields are those of 1970-01-01T00:00.
    static void parses() throws IOException {
        String[][] inputs = {
            {"yyyy-MM-dd HH:mm:ss.SSS", "2020-02-29 23:59:59.999", "2021-02-29 00:00:00.000", "2021-02-31 00:00:00.000", "2021-04-31 10:00:00.000", "2020-1-02 03:04:05.006", "2020-13-01 00:00:00.000", "2020-01-01 24:00:00.000", "2020-01-01 25:00:00.000", " 2020-01-02 03:04:05.006"},
            {"yyyy-MM-dd", "2020-01-02", "12020-01-02", "+12020-01-02", "-2020-01-02", "0000-01-01", "2020-00-10", "2020-01-32", "2020-01-02x", "20200102"},
            {"yyyy", "2020", "20", "99999"}, {"yy-MM-dd", "20-01-02", "99-12-31", "2020-01-01"}, {"y-M-d", "2020-1-2", "5-1-2", "2020-10-20", "-5-1-1"}, {"MM-dd", "02-29", "12-31", "02-30"},
            {"yyyy-MM-dd'T'HH:mm:ssX", "2020-05-11T21:58:33Z", "2020-05-11t21:58:33z", "2020-05-11T21:58:33+02", "2020-05-11T21:58:33+0230", "2020-05-11T21:58:33+02:30"},
            {"yyyy-MM-dd'T'HH:mm:ssXXX", "2020-05-11T21:58:33+02:30", "2020-05-11T21:58:33Z", "2020-05-11T21:58:33+0230"}, {"yyyy-MM-dd HH:mm Z", "2020-05-11 10:00 +0200", "2020-05-11 10:00 -0830", "2020-05-11 10:00 Z"},
            {"yyyy-MM-dd HH:mm VV", "2020-05-11 10:00 Europe/Paris", "2020-05-11 10:00 UTC", "2020-05-11 10:00 +02:00", "2020-05-11 10:00 Nowhere/There"}, {"yyyy-MM-dd HH:mm z", "2020-07-11 10:00 UTC", "2020-07-11 10:00 Europe/Paris", "2020-07-11 10:00 GMT"},
            {"dd MMM yyyy", "01 Jan 2020", "01 JAN 2020", "31 feb 2020", "01 January 2020", "1 Jan 2020"}, {"d MMMM uuuu", "5 March 2021", "5 march 2021", "5 Mar 2021"}, {"EEE, d MMM yyyy", "Wed, 1 Jan 2020", "Thu, 1 Jan 2020", "WED, 1 JAN 2020"},
            {"hh:mm a", "01:30 PM", "12:00 AM", "12:00 pm", "13:00 PM", "00:30 AM"}, {"H:m:s", "1:2:3", "23:59:59", "01:02:03", "24:0:0", "1:60:0"}, {"HHmmss", "010203", "10203", "235959"}, {"yyyyMMdd", "20200102", "2020012", "202001021"}, {"yyyyMMddHHmmssSSS", "20200102030405006", "2020010203040500"},
            {"yyyy-DDD", "2020-366", "2021-366", "2020-001", "2020-1"}, {"DDD", "060", "366"}, {"HH:mm:ss.SSSSSS", "01:02:03.123456", "01:02:03.123"}, {"HH:mm[:ss]", "01:02", "01:02:03", "01:02:"}, {"yyyy-MM-dd[ HH:mm]", "2020-01-02", "2020-01-02 03:04"}, {"kk:mm", "24:00", "00:00", "12:30"}, {"KK:mm a", "00:10 PM", "12:10 PM"},
            {"G yyyy", "AD 2020", "BC 0001", "ad 2020"}, {"YYYY-'W'ww-e", "2020-W01-1", "2021-W53-7", "2020-W10-4"}, {"A", "3600000", "86400000"}, {"N", "1000000000"}, {"''HH", "'10", "10"}, {"Q-yyyy", "2-2020", "5-2020"}, {"yyyy-MM-dd HH:mm a", "2020-01-01 13:00 PM", "2020-01-01 13:00 AM"}, {"S", "5"}, {"SSS", "5", "050"}, {"yyyy-MM-dd HH", "2020-03-08 02"}, {"E", "Thursday", "Thu"}, {"", "", "x"}, {"yyyy-'", "2020-"}, {"u", "-5", "+5", "12345"}, {"X", "Z", "+05"}, {"O", "GMT+8", "GMT"},
        };
        try (PrintWriter out = file("date_parses.tsv")) {
            for (String[] group : inputs) {
                for (int i = 1; i < group.length; i++) {
                    String pattern = group[0], text = group[i], zone = pick("UTC", "America/Los_Angeles", "Europe/London");
                    line(out, "timestamp", pattern, zone, text, attempt(() -> "" + timestamp(pattern, zone, text)));
                    line(out, "time", pattern, "", text, attempt(() -> "" + time(pattern, text)));
                    line(out, "date", pattern, "", text, attempt(() -> "" + LocalDate.parse(text, DateTimeFormatter.ofPattern(pattern)).toEpochDay()));
                }
            }
        }
    }

    static DateTimeFormatter parser(String pattern) { return new DateTimeFormatterBuilder().parseCaseInsensitive().appendPattern(pattern).toFormatter(); }

    /** Of the epoch's first moment, every field that the text has is replaced, from the smallest up. */
    static long timestamp(String pattern, String zone, String text) {
        TemporalAccessor parsed = parser(pattern).parse(text);
        ZoneId own = parsed.query(TemporalQueries.zone());
        ZonedDateTime at = ZonedDateTime.of(1970, 1, 1, 0, 0, 0, 0, own != null ? own : ZoneId.of(zone));
        for (ChronoField field : ChronoField.values()) {
            if (!parsed.isSupported(field)) continue;
            long value = parsed.getLong(field);
            if (field == ChronoField.DAY_OF_YEAR && value == 366) {
                if (!parsed.isSupported(ChronoField.YEAR)) throw new DateTimeException("which year?");
                at = at.withYear(parsed.get(ChronoField.YEAR));
            }
            at = at.with(field, value);
        }
        return at.toInstant().toEpochMilli();
    }

    static long time(String pattern, String text) {
        TemporalAccessor parsed = parser(pattern).parse(text);
        for (ChronoField field : ChronoField.values())
            if (field.isDateBased() && parsed.isSupported(field)) throw new DateTimeException("date field");
        return LocalTime.from(parsed).toNanoOfDay() / 1_000_000;
    }

    // pattern, text, days; an error is \0
    static void simpleDates() throws IOException {
        String[][] inputs = {
            {"yyyy-MM-dd", "2020-02-29", "2021-02-29", "2020-1-2", "2020-13-45", "2020-01-02x", "20-01-02", "x", "2020-01", "12020-01-02", " 2020-01-02", "2020- 1-2", "-5-01-01", "2020/01/02", "2020-01-02 10:00", "2020--1-02", ""},
            {"yyyyMMdd", "20200102", "2020012", "202001021", "2020 102"}, {"dd/MM/yy", "01/02/03", "01/02/2003", "01/02/99", "1/2/3", "01/02/68"}, {"dd-MMM-yyyy", "01-Jan-2022", "01-JAN-2022", "01-January-2022", "1-jan-22", "01-Foo-2022"}, {"d MMMM yyyy", "5 March 2021", "5 Mar 2021"}, {"MMM-yyyy", "JAN-2022", "Dec-1969"}, {"yyyy", "2020", "99", "0001", "0", "-1"}, {"MM/yyyy", "2/2020"}, {"yy", "70", "20", "2020", "5"},
            {"yyyy-DDD", "2020-366", "2021-366", "2021-001", "2021-0"}, {"EEE, d MMM yyyy", "Wed, 1 Jan 2020", "Thu, 1 Jan 2020", "Wednesday, 1 January 2020"}, {"yyyy-MM-dd HH:mm", "2020-01-02 00:00", "2020-01-02 10:00", "2020-01-02 24:00", "2020-01-02 48:00"}, {"yyyy-MM-dd'T'HH:mm:ss.SSSX", "2020-01-02T00:00:00.000Z", "2020-01-02T02:00:00.000+02", "2020-01-02T00:00:00.000+02"}, {"G yyyy", "AD 2020", "BC 1"}, {"yyyy-MM-dd'Lit'", "2018-05-11Lit", "2018-05-11lit"}, {"M/d/y", "12/31/99", "12/31/1999", "1/1/5"}, {"yyyy.MM.dd a", "2020.01.02 AM", "2020.01.02 PM"}, {"", "", "x"}, {"Q", "1"}, {"yyyy'", "2020"}, {"dd.MM", "29.02"}, {"yyyy-MM-dd hh a", "2020-01-02 12 AM"}, {"yyyy-MM-dd kk", "2020-01-02 24"}, {"yyyy MM dd Z", "2020 01 02 +0000", "2020 01 02 GMT"}, {"yyyy MM dd z", "2020 01 02 UTC"},
        };
        try (PrintWriter out = file("simple_dates.tsv")) {
            for (String[] group : inputs) {
                for (int i = 1; i < group.length; i++) {
                    String pattern = group[0], text = group[i];
                    line(out, pattern, text, attempt(() -> {
                        SimpleDateFormat format = new SimpleDateFormat(pattern);
                        // Two digits of a year lie in the hundred years from eighty years ago: fixed here.
                        format.set2DigitYearStart(new GregorianCalendar(1946, 0, 1).getTime());
                        // Dates before 1582 are Gregorian too, as everywhere else.
                        GregorianCalendar calendar = new GregorianCalendar();
                        calendar.setGregorianChange(new Date(Long.MIN_VALUE));
                        calendar.setTime(format.get2DigitYearStart());
                        format.setCalendar(calendar);
                        format.set2DigitYearStart(new GregorianCalendar(1946, 0, 1).getTime());
                        long time = format.parse(text).getTime();
                        if (time % 86_400_000 != 0) throw new DateTimeException("time field");
                        return "" + time / 86_400_000;
                    }));
                }
            }
        }
    }

    // url, scheme, host, port, path, query, fragment; everything \0 for an error
    static void urls() throws IOException {
        String[] inputs = {
            "https://user:pw@example.com:8080/a/b?x=1&y=2#frag", "http://example.com", "http://example.com/", "mailto:a@b.c", "/only/path?q", "?q=1", "#f", "", "a", "a:b", "http://[::1]:80/x", "http://a_b.com/p", "http://a_b.com:80/p", "http://example.com:/p",
            "http://example.com:x/p", "http:///p", "file:///etc/passwd", "http://ex ample.com/", "http://example.com/%41%C3%A4?%26=%3D#%23", "http://example.com/%zz", "http://example.com/é?ü=ö#ß", "http://-a.com/", "http://a-.com/", "http://1.2.3.4/", "http://1.2.3/", "http://256.1.1.1/", "http://a.1/",
            "1http://a", "ht+tp://a", "http://a@b@c/", "//host/p", "//host:99", "http://h?x", "http://h#x", "http://h/?#", "http://h/a|b", "http://h/a^b", "http://h/a[b]", "http://h?a[b]", "http://h:65536/", "http://h:99999999999/", "jdbc:mysql://h/db", "urn:isbn:1", "http://a..b/", "http://a./", "http://%41/", "http://h/%ff", "a?b", "a#b#c", "http:", "http:#f", "://x", "http://h\\x", "http://h/\"", "http://h/a+b?c+d", "HTTP://H/", "http://h:0/", "http://h:-1/", "http://u@/", "http://:80/",
        };
        try (PrintWriter out = file("urls.tsv")) {
            for (String input : inputs) {
                String[] row = new String[7];
                row[0] = input;
                try {
                    URI uri = new URI(input);
                    row[1] = uri.getScheme();
                    row[2] = uri.getHost();
                    row[3] = uri.getPort() == -1 ? null : "" + uri.getPort();
                    row[4] = uri.getPath();
                    row[5] = uri.getQuery();
                    row[6] = uri.getFragment();
                } catch (URISyntaxException e) { row = new String[] {input, null, null, null, null, null, null}; }
                line(out, row);
            }
        }
        try (PrintWriter out = file("url_parameters.tsv")) {
            for (String input : new String[] {"a b", "a+b", "a%20b", "%41%zz", "%4", "%", "é", "😀", "a&b=c/d?e", "*-._~!'()", "%C3%A4", "%E4", "%c3%a4+", "", "%2", "a%00b"}) {
                line(out, input, URLEncoder.encode(input, StandardCharsets.UTF_8), attempt(() -> URLDecoder.decode(input, StandardCharsets.UTF_8)));
            }
        }
    }

    // ROUND and text of doubles: value, Math.round, to places -2 … 3 by BigDecimal with halves up, and truncated to 2 places
    static void numbers() throws IOException {
        double[] fixed = {0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 0.49999999999999994, 4503599627370497.0, 4503599627370497.5, 9007199254740993.0, 1e18, 1e19, -1e19, 1.005, 2.675, 1e-7, 123456.789, -123456.785, 1e300, 5e-324, 0.1 + 0.2, 1e22, 1e21, 123e20};
        try (PrintWriter out = file("numbers.tsv")) {
            for (int i = 0; i < 300; i++) {
                double value = i < fixed.length ? fixed[i] : i % 3 == 0 ? Double.longBitsToDouble(random.nextLong()) : Math.round(random.nextGaussian() * 1e7) / Math.pow(10, random.nextInt(6));
                if (Double.isNaN(value) || Double.isInfinite(value)) continue;
                List<String> row = new ArrayList<>(List.of("" + value, "" + Math.round(value)));
                if (Math.abs(value) < 1e30 && (value == 0 || Math.abs(value) > 1e-30))
                    for (int places = -2; places <= 3; places++) row.add("" + round(value, places));
                line(out, row.toArray(new String[0]));
            }
        }
    }

    // Halves go up, towards positive infinity.
    static double round(double value, int places) {
        java.math.BigDecimal exact = java.math.BigDecimal.valueOf(value);
        return exact.setScale(places, value >= 0 ? java.math.RoundingMode.HALF_UP : java.math.RoundingMode.HALF_DOWN).doubleValue();
    }
}

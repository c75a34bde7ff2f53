namespace Shop;

public record Order(string Item);

public record OrderTaken(string Text);
